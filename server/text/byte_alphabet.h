// The printable alphabet in which byte-level vocabularies spell bytes: 188 bytes as themselves, the other 68 as U+0100
// and up, in order. Pure functions; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace halftone {

// The bytes of a spelled piece; nothing if a character of it is not in the alphabet.
std::optional<std::string> bytes_from_alphabet(std::string_view spelled);
std::string bytes_to_alphabet(std::string_view bytes);

}  // namespace halftone
