// Small text files of the system, such as those in /proc, and the numbers in them. Any thread; no state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace halftone {

// At most 4 MiB of it; empty where there is no such file.
std::string read_text(const std::string& path);

// Without empty pieces. They point into the text.
std::vector<std::string_view> split(std::string_view text, char separator);
std::string_view trimmed(std::string_view text);

// Nothing: it is not a decimal number alone, or does not fit.
std::optional<uint64_t> whole_number(std::string_view text);
// The number after the line's first word, which is `name`: "MemTotal:  123 kB", "active_file 123".
std::optional<uint64_t> named_number(std::string_view text, std::string_view name);

uint64_t saturated_add(uint64_t a, uint64_t b);

}  // namespace halftone
