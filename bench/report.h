// Rows of figures, printed as a table while they come and kept as JSON.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/contract/device.h"

namespace halftone::bench {

// The same work by the yardstick's library.
struct Comparison {
  double seconds = 0;
  std::string error;  // why there are no seconds
};

struct Row {
  std::string operation;  // "linear w4"
  std::string shape;      // "1536 x 576"
  int64_t tokens = 0;
  double seconds = 0;
  Work work = {};
  std::optional<Comparison> yardstick = {};
};

// cuBLASLt, which rows of a GPU are compared with: its file, or why there is none; neither on other devices.
struct ReportYardstick {
  std::string name, why_not;
};

class Report {
 public:
  explicit Report(const DeviceRoofline& roofline, ReportYardstick yardstick = {})
      : roofline_(roofline), yardstick_(std::move(yardstick)) {}

  void print_head(const std::string& device) const;
  void add(const Row& row);
  size_t size() const { return rows_.size(); }
  // False: the file could not be written.
  bool write_json(const std::string& path, const std::string& device) const;

 private:
  double of_floor(const Row& row) const { return roofline_.seconds(row.work) / row.seconds; }

  DeviceRoofline roofline_;
  ReportYardstick yardstick_;
  std::vector<Row> rows_;
};

}  // namespace halftone::bench
