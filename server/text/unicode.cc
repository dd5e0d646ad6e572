#include "server/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "kernels/contract/check.h"

namespace halftone {
namespace {

CharClass class_of(uint32_t code) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::kNumber;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return CharClass::kSpace;
    default:
      return (code >= 9 && code <= 13) || code == 0x85 ? CharClass::kSpace : CharClass::kOther;
  }
}

CharClass class_of_ascii(unsigned char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return CharClass::kLetter;
  if (c >= '0' && c <= '9') return CharClass::kNumber;
  return c == ' ' || (c >= 9 && c <= 13) ? CharClass::kSpace : CharClass::kOther;
}

constexpr int kCapitalSide = 1, kSmallSide = 2;

int sides_of(const Character& c) {
  if (c.bytes == 0 || c.code == kBroken) return 0;
  if (c.code < 0x80) return c.kind != CharClass::kLetter ? 0 : c.code >= 'a' ? kSmallSide : kCapitalSide;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c.code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
      return kCapitalSide;
    case UTF8PROC_CATEGORY_LL:
      return kSmallSide;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return kCapitalSide | kSmallSide;
    default:
      return 0;
  }
}

// One stretch without broken bytes.
void compose_valid(std::string_view text, std::string& out) {
  std::vector<utf8proc_int32_t> codes;
  codes.reserve(text.size());
  utf8proc_int32_t parts[32];
  for (size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    int last_class = 0;
    const auto count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.code), parts, 32,
                                static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE), &last_class);
    HALFTONE_CHECK(count >= 0 && count <= 32);
    codes.insert(codes.end(), parts, parts + count);
    at += c.bytes;
  }
  // Marks go into canonical order here: utf8proc's own way is quadratic in a heap of marks.
  const auto combining = [](utf8proc_int32_t code) { return utf8proc_get_property(code)->combining_class; };
  for (auto first = codes.begin(); first != codes.end();) {
    first = std::find_if(first, codes.end(), [&](auto code) { return combining(code) != 0; });
    const auto last = std::find_if(first, codes.end(), [&](auto code) { return combining(code) == 0; });
    std::stable_sort(first, last, [&](auto a, auto b) { return combining(a) < combining(b); });
    first = last;
  }
  const auto count = utf8proc_normalize_utf32(codes.data(), static_cast<utf8proc_ssize_t>(codes.size()),
                                              static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  HALFTONE_CHECK(count >= 0);
  utf8proc_uint8_t bytes[4];
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    const auto n = utf8proc_encode_char(codes[i], bytes);
    out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(n));
  }
}

}  // namespace

Character character_at(std::string_view text, size_t begin) {
  if (begin >= text.size()) return {};
  const auto byte = static_cast<unsigned char>(text[begin]);
  if (byte < 0x80) return {byte, 1, class_of_ascii(byte)};
  utf8proc_int32_t code = -1;
  const auto size = static_cast<utf8proc_ssize_t>(std::min<size_t>(4, text.size() - begin));
  const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + begin, size, &code);
  if (n <= 0 || code < 0) return {kBroken, 1, CharClass::kOther};
  return {static_cast<uint32_t>(code), static_cast<size_t>(n), class_of(static_cast<uint32_t>(code))};
}

Character character_before(std::string_view text, size_t end) {
  if (end == 0) return {};
  for (size_t bytes = 2; bytes <= 4 && bytes <= end; ++bytes) {
    const Character c = character_at(text.substr(0, end), end - bytes);
    if (c.bytes == bytes) return c;
  }
  return character_at(text.substr(0, end), end - 1);
}

bool is_capital_side(const Character& c) { return (sides_of(c) & kCapitalSide) != 0; }
bool is_small_side(const Character& c) { return (sides_of(c) & kSmallSide) != 0; }

bool is_word_character(const Character& c) {
  if (c.bytes == 0 || c.code == kBroken) return false;
  if (c.kind == CharClass::kLetter) return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c.code))) {
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return c.code == 0x200c || c.code == 0x200d;
  }
}

std::string compose(std::string_view text) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; })) {
    return std::string(text);
  }
  std::string out;
  out.reserve(text.size());
  size_t valid_from = 0;
  for (size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    if (c.code == kBroken) {
      compose_valid(text.substr(valid_from, at - valid_from), out);
      out += text[at];
      valid_from = at + 1;
    }
    at += c.bytes;
  }
  compose_valid(text.substr(valid_from), out);
  return out;
}

}  // namespace halftone
