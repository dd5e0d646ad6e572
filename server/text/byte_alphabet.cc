#include "server/text/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "server/text/unicode.h"

namespace halftone {
namespace {

constexpr bool is_itself(int byte) { return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad); }

struct Alphabet {
  std::array<uint16_t, 256> code{};   // of a byte
  std::array<int16_t, 0x144> byte{};  // of a code; -1: not in the alphabet
};

constexpr Alphabet make_alphabet() {
  Alphabet a;
  for (auto& byte : a.byte) byte = -1;
  uint16_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    a.code[byte] = is_itself(byte) ? static_cast<uint16_t>(byte) : next++;
    a.byte[a.code[byte]] = static_cast<int16_t>(byte);
  }
  return a;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::optional<std::string> bytes_from_alphabet(std::string_view spelled) {
  std::string bytes;
  for (size_t at = 0; at < spelled.size();) {
    const Character c = character_at(spelled, at);
    if (c.code >= kAlphabet.byte.size() || kAlphabet.byte[c.code] < 0) return std::nullopt;
    bytes += static_cast<char>(kAlphabet.byte[c.code]);
    at += c.bytes;
  }
  return bytes;
}

std::string bytes_to_alphabet(std::string_view bytes) {
  std::string spelled;
  for (const char c : bytes) {
    const uint16_t code = kAlphabet.code[static_cast<unsigned char>(c)];
    if (code < 0x80) {
      spelled += static_cast<char>(code);
    } else {
      spelled += static_cast<char>(0xc0 | (code >> 6));
      spelled += static_cast<char>(0x80 | (code & 0x3f));
    }
  }
  return spelled;
}

}  // namespace halftone
