#include "system/files.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>

namespace halftone {

std::string read_text(const std::string& path) {
  constexpr size_t kMost = size_t{4} << 20;
  std::ifstream file(path, std::ios::binary);
  std::string text;
  char piece[4096];
  while (text.size() < kMost && (file.read(piece, sizeof piece) || file.gcount() > 0)) {
    text.append(piece, static_cast<size_t>(file.gcount()));
  }
  return text;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    if (end > begin) pieces.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return pieces;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::optional<uint64_t> whole_number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<uint64_t> named_number(std::string_view text, std::string_view name) {
  for (std::string_view line : split(text, '\n')) {
    if (line.substr(0, name.size()) != name || line.size() == name.size()) continue;
    const std::string_view rest = line.substr(name.size());
    if (rest.front() != ' ' && rest.front() != '\t') continue;
    const std::string_view value = trimmed(rest);
    return whole_number(value.substr(0, value.find(' ')));
  }
  return std::nullopt;
}

uint64_t saturated_add(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<uint64_t>::max() : sum;
}

}  // namespace halftone
