// How SentencePiece vocabularies spell spaces and bytes, and how a piece looks in an error message. Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace halftone {

inline constexpr std::string_view kSpaceMark = "\xe2\x96\x81";  // U+2581

std::string spaces_to_marks(std::string_view text);
std::string marks_to_spaces(std::string_view text);
// The byte that a piece <0xNN> stands for.
std::optional<unsigned char> byte_of_piece(std::string_view piece);
// In quotation marks, escaped, the first 80 bytes.
std::string quoted_piece(std::string_view piece);

}  // namespace halftone
