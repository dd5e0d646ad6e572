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

// ?[^\s\p{L}\p{N}]+[`closing`]*|\s*[\r\n]+|\s+(?!\S)|\s+
size_t signs_or_spaces(std::string_view text, size_t begin, std::string_view closing) {
  const Character first = character_at(text, begin);
  const bool space = first.code == ' ';
  const Character c = space ? character_at(text, begin + 1) : first;
  if (c.bytes > 0 && c.kind == CharClass::kOther) {
    const size_t end = run_end(text, begin + space, CharClass::kOther);
    return std::min(text.find_first_not_of(closing, end), text.size());
  }
  const size_t end = run_end(text, begin, CharClass::kSpace);
  const size_t line_break = text.substr(begin, end - begin).find_last_of("\r\n");
  if (line_break != std::string_view::npos) return begin + line_break + 1;
  return spaces(text, begin, end, false);
}

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
  return signs_or_spaces(text, begin, "\r\n");
}

size_t llama3(std::string_view text, size_t begin) { return llama3_rule(text, begin, 3); }
size_t qwen2(std::string_view text, size_t begin) { return llama3_rule(text, begin, 1); }

// With capital = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and small = [\p{Ll}\p{Lm}\p{Lo}\p{M}], from one place on.
struct Cased {
  size_t begin, small_end, capital_end;
  bool ends_small() const { return small_end > begin; }      // capital*small+
  bool ends_capital() const { return capital_end > begin; }  // capital+, where the first is not there
};

Cased cased_word(std::string_view text, size_t begin) {
  Cased word{begin, begin, begin};
  for (;; word.capital_end += character_at(text, word.capital_end).bytes) {
    const Character c = character_at(text, word.capital_end);
    if (!is_capital_side(c)) break;
    if (is_small_side(c)) word.small_end = word.capital_end + c.bytes;
  }
  if (!is_small_side(character_at(text, word.capital_end))) return word;
  word.small_end = word.capital_end;
  for (Character c = character_at(text, word.small_end); is_small_side(c); c = character_at(text, word.small_end)) {
    word.small_end += c.bytes;
  }
  return word;
}

// [^\r\n\p{L}\p{N}]?capital*small+|[^\r\n\p{L}\p{N}]?capital+small*|\p{N}|
// ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
size_t tekken(std::string_view text, size_t begin) {
  const Character first = character_at(text, begin);
  if (first.kind == CharClass::kNumber) return begin + first.bytes;
  const bool may_precede = first.kind != CharClass::kLetter && !is_line_break(first);
  const Cased after = may_precede ? cased_word(text, begin + first.bytes) : Cased{};
  if (after.ends_small()) return after.small_end;
  const Cased here = cased_word(text, begin);
  if (here.ends_small()) return here.small_end;
  if (after.ends_capital()) return after.capital_end;
  if (here.ends_capital()) return here.capital_end;
  return signs_or_spaces(text, begin, "\r\n/");
}

struct Known {
  std::string_view name;
  PreTokenizer cut;
};
constexpr Known kKnown[] = {
    {"gpt2", gpt2}, {"smollm", smollm}, {"llama3", llama3}, {"qwen2", qwen2}, {"tekken", tekken}};

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
    {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?)"
     R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*)"
     R"(|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "tekken"},
};
// Names for which llama.cpp, whose names they are, holds one and the same pattern.
constexpr Alias kGgufNames[] = {{"gpt-2", "gpt2"},
                                {"gpt2", "gpt2"},
                                {"phi-2", "gpt2"},
                                {"mpt", "gpt2"},
                                {"olmo", "gpt2"},
                                {"jais", "gpt2"},
                                {"trillion", "gpt2"},
                                {"granite-docling", "gpt2"},
                                {"gigachat", "gpt2"},
                                {"mellum", "gpt2"},
                                {"smollm", "smollm"},
                                {"starcoder", "smollm"},
                                {"refact", "smollm"},
                                {"command-r", "smollm"},
                                {"codeshell", "smollm"},
                                {"exaone", "smollm"},
                                {"minerva-7b", "smollm"},
                                {"llama3", "llama3"},
                                {"llama-v3", "llama3"},
                                {"llama-bpe", "llama3"},
                                {"falcon3", "llama3"},
                                {"pixtral", "llama3"},
                                {"midm-2.0", "llama3"},
                                {"dbrx", "llama3"},
                                {"smaug-bpe", "llama3"},
                                {"qwen2", "qwen2"},
                                {"deepseek-r1-qwen", "qwen2"},
                                {"tekken", "tekken"}};
// Of those, the names that say more: a word that is a piece is taken whole, and a text begins with BOS.
constexpr std::string_view kTakenWhole[] = {"llama3",  "llama-v3", "llama-bpe", "falcon3",
                                            "pixtral", "midm-2.0", "tekken"};

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

bool gguf_name_takes_words_whole(std::string_view name) {
  return std::find(std::begin(kTakenWhole), std::end(kTakenWhole), name) != std::end(kTakenWhole);
}

std::string known_pre_tokenizers() {
  std::string names;
  for (const Known& known : kKnown) names += (names.empty() ? "" : ", ") + std::string(known.name);
  return names;
}

}  // namespace halftone
