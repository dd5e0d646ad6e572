#include "server/text/clean_text.h"

#include <cstdint>

#include "absl/strings/escaping.h"
#include "server/text/unicode.h"
#include "server/text/utf8_stream.h"

namespace halftone {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

// Controls beyond ASCII, ends of lines and paragraphs, marks that turn the direction of writing.
bool misleads(uint32_t code) {
  return (code >= 0x80 && code <= 0x9f) || (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

// Valid UTF-8 within the limit; controls of ASCII stay.
std::string readable(std::string_view bytes, size_t limit) {
  // Of a character that the cut goes through a part is left, which is broken: it is looked at whole.
  const std::string text = utf8_with_replacement(bytes.substr(0, limit < SIZE_MAX - 4 ? limit + 4 : limit));
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    const std::string_view next = misleads(c.code) ? kReplacement : std::string_view(text).substr(at, c.bytes);
    if (out.size() + next.size() > limit) break;
    out += next;
    at += c.bytes;
  }
  return out;
}

}  // namespace

std::string clean_text(std::string_view bytes, size_t limit) {
  std::string out = readable(bytes, limit);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return out;
}

std::string shown(std::string_view bytes, size_t limit) { return absl::Utf8SafeCHexEscape(readable(bytes, limit)); }

}  // namespace halftone
