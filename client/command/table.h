// Columns of text, as wide as their widest cell. First column to the left, the others to the right.
#pragma once

#include <string>
#include <vector>

namespace halftone {

class Table {
 public:
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string text() const;  // each row a line, two spaces in front

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string bytes_text(double bytes);  // "91.2 MiB"

}  // namespace halftone
