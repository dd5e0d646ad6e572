#include "server/metrics/labels.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace halftone {
namespace {

template <typename List>
std::string_view known(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) == list.end() ? list.back() : word;
}

// Bytes of the character that starts at `text`, or 0 where none does. Overlong forms and surrogates are none.
size_t character_bytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < bytes) return 0;
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const uint8_t second = byte(1);
  if (first == 0xE0 && second < 0xA0) return 0;
  if (first == 0xED && second > 0x9F) return 0;
  if (first == 0xF0 && second < 0x90) return 0;
  if (first == 0xF4 && second > 0x8F) return 0;
  return bytes;
}

bool valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t bytes = character_bytes(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

}  // namespace

std::string_view known_code(std::string_view code) { return known(kStatusCodes, code); }
std::string_view known_finish_reason(std::string_view reason) { return known(kFinishReasons, reason); }
std::string_view known_reject_reason(std::string_view reason) { return known(kRejectReasons, reason); }

std::string label_text(std::string_view text) {
  std::string result(text);
  if (valid_utf8(text)) return result;
  for (char& c : result) {
    if (static_cast<uint8_t>(c) >= 0x80) c = '?';
  }
  return result;
}

}  // namespace halftone
