#include "server/text/utf8_stream.h"

#include <cstddef>

namespace halftone {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

// How many bytes a character has that begins so; 0 if none does.
size_t length_of(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

// Whether `second` may follow `lead`: no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool may_follow(unsigned char lead, unsigned char second) {
  const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  return second >= low && second <= high;
}

struct Prefix {
  size_t bytes;   // that belong together
  bool complete;  // they are a character
};

// The longest beginning of `text` that is a character or could still become one; at least one byte. text not empty.
Prefix prefix_of(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t length = length_of(at(0));
  if (length <= 1) return {1, length == 1};
  size_t n = 1;
  while (n < length && n < text.size() && (n == 1 ? may_follow(at(0), at(1)) : (at(n) & 0xc0) == 0x80)) ++n;
  return {n, n == length};
}

}  // namespace

std::string Utf8Stream::push(std::string_view bytes) {
  std::string joined;
  if (!held_.empty()) {
    joined = held_ + std::string(bytes);
    bytes = joined;
    held_.clear();
  }
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const Prefix prefix = prefix_of(bytes);
    const bool may_grow = !prefix.complete && prefix.bytes == bytes.size() && length_of(bytes[0]) > 1;
    if (may_grow) {
      held_ = bytes;
      break;
    }
    text += prefix.complete ? bytes.substr(0, prefix.bytes) : kReplacement;
    bytes.remove_prefix(prefix.bytes);
  }
  if (drop_space_ && !text.empty()) {
    drop_space_ = false;
    if (text[0] == ' ') text.erase(0, 1);
  }
  return text;
}

std::string Utf8Stream::flush() {
  const bool broken = !held_.empty();
  held_.clear();
  drop_space_ = false;
  return broken ? std::string(kReplacement) : std::string();
}

std::string utf8_with_replacement(std::string_view bytes) {
  Utf8Stream stream;
  std::string text = stream.push(bytes);
  return text + stream.flush();
}

}  // namespace halftone
