// Rows of figures, printed as a table while they come and kept as JSON.
#pragma once

#include <string>
#include <vector>

#include "kernels/contract/device.h"

namespace halftone::bench {

struct Row {
  std::string operation;  // "linear w4"
  std::string shape;      // "1536 x 576"
  int64_t tokens = 0;
  double seconds = 0;
  Work work = {};
};

class Report {
 public:
  explicit Report(const DeviceFloor& floor) : floor_(floor) {}

  void print_head(const std::string& device) const;
  void add(const Row& row);
  size_t size() const { return rows_.size(); }
  // False: the file could not be written.
  bool write_json(const std::string& path, const std::string& device) const;

 private:
  double of_floor(const Row& row) const { return floor_.seconds(row.work) / row.seconds; }

  DeviceFloor floor_;
  std::vector<Row> rows_;
};

}  // namespace halftone::bench
