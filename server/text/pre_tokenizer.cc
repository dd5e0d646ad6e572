#include "server/text/pre_tokenizer.h"

#include <algorithm>

#include "server/text/unicode.h"

namespace halftone {
namespace {

// The end of the run of `kind` that begins at `at`, of at most `limit` characters.
size_t run_end(std::string_view text, size_t at, CharClass kind, size_t limit = std::string_view::npos) {
  for (; limit > 0; --limit) {
    const Character c = character_at(text, at);
    if (c.bytes == 0 || c.kind != kind) break;
    at += c.bytes;
  }
  return at;
}

bool is_line_break(const Character& c) { return c.code == '\r' || c.code == '\n'; }

// 's 't 're 've 'm 'll 'd: their length in bytes with the apostrophe, or 0.
size_t contraction(std::string_view text, size_t at, bool any_case) {
  if (text[at] != '\'') return 0;
  const auto letter = [&](const Character& c) {
    if (!any_case) return c.code;
    if (c.code == 0x17f) return uint32_t{'s'};  // the long s folds to s
    return c.code >= 'A' && c.code <= 'Z' ? c.code + 32 : c.code;
  };
  const Character first = character_at(text, at + 1);
  if (first.bytes == 0) return 0;
  const uint32_t a = letter(first);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 1 + first.bytes;
  const Character second = character_at(text, at + 1 + first.bytes);
  if (second.bytes == 0) return 0;
  const uint32_t b = letter(second);
  const bool found = (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l');
  return found ? 1 + first.bytes + second.bytes : 0;
}

// \s+(?!\S)|\s+ : the run from `begin` without its last character, where a word follows that may want it.
// `ends_at_digit`: digits were cut off before, so that the text ends in front of them.
size_t spaces(std::string_view text, size_t begin, size_t end, bool ends_at_digit) {
  const Character next = character_at(text, end);
  if (next.bytes == 0 || (ends_at_digit && next.kind == CharClass::kNumber)) return end;
  const size_t without_last = end - character_before(text, end).bytes;
  return without_last > begin ? without_last : end;
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// With digits_alone, each \p{N} is cut out before the rest is looked at.
size_t gpt2_rule(std::string_view text, size_t begin, bool digits_alone) {
  if (const size_t bytes = contraction(text, begin, false)) return begin + bytes;
  const Character first = character_at(text, begin);
  if (digits_alone && first.kind == CharClass::kNumber) return begin + first.bytes;
  const bool space = first.code == ' ';
  const Character c = space ? character_at(text, begin + 1) : first;
  const bool cut_here = c.bytes == 0 || (digits_alone && c.kind == CharClass::kNumber);
  if (c.kind != CharClass::kSpace && !cut_here) return run_end(text, begin + space, c.kind);
  return spaces(text, begin, run_end(text, begin, CharClass::kSpace), digits_alone);
}

size_t gpt2(std::string_view text, size_t begin) { return gpt2_rule(text, begin, false); }
size_t smollm(std::string_view text, size_t begin) { return gpt2_rule(text, begin, true); }

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}|
// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
size_t llama3_rule(std::string_view text, size_t begin, size_t digits) {
  if (const size_t bytes = contraction(text, begin, true)) return begin + bytes;
  const Character first = character_at(text, begin);
  if (first.kind == CharClass::kLetter) return run_end(text, begin, CharClass::kLetter);
  if (first.kind == CharClass::kNumber) return run_end(text, begin, CharClass::kNumber, digits);
  const Character second = character_at(text, begin + first.bytes);
  if (!is_line_break(first) && second.bytes > 0 && second.kind == CharClass::kLetter) {
    return run_end(text, begin + first.bytes, CharClass::kLetter);
  }
  const bool space = first.code == ' ';
  const Character c = space ? second : first;
  if (c.bytes > 0 && c.kind == CharClass::kOther) {
    size_t end = run_end(text, begin + space, CharClass::kOther);
    while (end < text.size() && (text[end] == '\r' || text[end] == '\n')) ++end;
    return end;
  }
  const size_t end = run_end(text, begin, CharClass::kSpace);
  const size_t line_break = text.substr(begin, end - begin).find_last_of("\r\n");
  if (line_break != std::string_view::npos) return begin + line_break + 1;
  return spaces(text, begin, end, false);
}

size_t llama3(std::string_view text, size_t begin) { return llama3_rule(text, begin, 3); }
size_t qwen2(std::string_view text, size_t begin) { return llama3_rule(text, begin, 1); }

struct Known {
  std::string_view name;
  PreTokenizer cut;
};
constexpr Known kKnown[] = {{"gpt2", gpt2}, {"smollm", smollm}, {"llama3", llama3}, {"qwen2", qwen2}};

struct Alias {
  std::string_view text;
  std::string_view name;
};
constexpr Alias kPatterns[] = {
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", "gpt2"},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+)"
     R"(|\s+(?!\S)|\s+)",
     "llama3"},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+)"
     R"(|\s+(?!\S)|\s+)",
     "qwen2"},
};
constexpr Alias kGgufNames[] = {
    {"gpt-2", "gpt2"},      {"gpt2", "gpt2"},        {"smollm", "smollm"}, {"llama3", "llama3"},
    {"llama-v3", "llama3"}, {"llama-bpe", "llama3"}, {"qwen2", "qwen2"},   {"deepseek-r1-qwen", "qwen2"}};

template <size_t n>
std::string by_alias(const Alias (&aliases)[n], std::string_view text) {
  const auto* found = std::find_if(aliases, aliases + n, [&](const Alias& a) { return a.text == text; });
  return std::string(found == aliases + n ? text : found->name);
}

}  // namespace

PreTokenizer find_pre_tokenizer(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kKnown), std::end(kKnown), [&](const Known& k) { return k.name == name; });
  return found == std::end(kKnown) ? nullptr : found->cut;
}

std::string pre_tokenizer_of_pattern(std::string_view pattern) { return by_alias(kPatterns, pattern); }
std::string pre_tokenizer_of_gguf(std::string_view name) { return by_alias(kGgufNames, name); }

std::string known_pre_tokenizers() {
  std::string names;
  for (const Known& known : kKnown) names += (names.empty() ? "" : ", ") + std::string(known.name);
  return names;
}

}  // namespace halftone
