#include "server/text/spelling.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/text/clean_text.h"

namespace halftone {
namespace {

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size());
  for (;;) {
    const size_t at = text.find(from);
    out += text.substr(0, at);
    if (at == std::string_view::npos) return out;
    out += to;
    text.remove_prefix(at + from.size());
  }
}

}  // namespace

std::string spaces_to_marks(std::string_view text) { return replaced(text, " ", kSpaceMark); }
std::string marks_to_spaces(std::string_view text) { return replaced(text, kSpaceMark, " "); }

std::optional<unsigned char> byte_of_piece(std::string_view piece) {
  if (piece.size() != 6 || piece.substr(0, 3) != "<0x" || piece[5] != '>') return std::nullopt;
  int value = 0;
  for (const char c : piece.substr(3, 2)) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return std::nullopt;
    value = value * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return static_cast<unsigned char>(value);
}

std::string quoted_piece(std::string_view piece) {
  return absl::StrCat("\"", shown(piece, 80), "\"");
}

}  // namespace halftone
