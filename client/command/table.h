// Columns of text, as wide as their widest cell. First column to the left, the others to the right.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace halftone {

class Table {
 public:
  explicit Table(size_t gap = 2) : gap_(gap) {}  // spaces between columns
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string text() const;  // each row a line, two spaces in front

 private:
  size_t gap_;
  std::vector<std::vector<std::string>> rows_;
};

std::string bytes_text(double bytes);    // "91.2 MiB"
std::string mib(uint64_t bytes);         // "91.2"
std::string short_number(double value);  // three digits: "0.123", "1.23", "12.3", "1234"

}  // namespace halftone
