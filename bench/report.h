// Rows of figures, printed as a table while they come and kept as JSON.
#pragma once

#include <string>
#include <vector>

#include "bench/floor.h"

namespace halftone::bench {

struct Row {
  std::string operation;  // "linear w4"
  std::string shape;      // "1536 x 576"
  int64_t tokens = 0;
  double seconds = 0;
  double bytes = 0;  // that must be read at least
  double flops = 0;
};

class Report {
 public:
  explicit Report(const Floor& floor) : floor_(floor) {}

  void print_head(const std::string& device) const;
  void add(const Row& row);
  // False: the file could not be written.
  bool write_json(const std::string& path, const std::string& device) const;

 private:
  double of_floor(const Row& row) const { return floor_.seconds(row.bytes, row.flops) / row.seconds; }

  Floor floor_;
  std::vector<Row> rows_;
};

}  // namespace halftone::bench
