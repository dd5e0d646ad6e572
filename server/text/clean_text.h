// Texts of files and of clients, made fit to be shown: in a log line, a message, a label, an answer. Any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace halftone {

inline constexpr size_t kShownBytes = 200;

// One line of valid UTF-8, at most `limit` bytes, cut between two characters. A control character of ASCII becomes a
// space; what is no character, and what moves the cursor or turns the direction of writing, becomes U+FFFD.
std::string clean_text(std::string_view bytes, size_t limit = kShownBytes);

// The same for messages, where one wants to see what stood there: control characters, quotes and backslashes as escape
// sequences. `limit` counts before these are spelled out.
std::string shown(std::string_view bytes, size_t limit = kShownBytes);

}  // namespace halftone
