#include "bench/report.h"

#include <cstdio>
#include <fstream>
#include <iomanip>

namespace halftone::bench {
namespace {

// Ours over the library's: 2 where we take twice as long.
double ratio(const Row& row) { return row.seconds / row.yardstick->seconds; }

void print_yardstick(const Row& row) {
  if (!row.yardstick) {
    std::printf(" | |");
  } else if (!row.yardstick->error.empty()) {
    std::printf(" %s | |", row.yardstick->error.c_str());
  } else {
    std::printf(" %.3f | %.2f |", row.yardstick->seconds * 1e3, ratio(row));
  }
}

void write_yardstick(std::ostream& out, const Row& row) {
  if (!row.yardstick) return;
  if (row.yardstick->error.empty()) {
    out << ", \"yardstick_seconds\": " << row.yardstick->seconds << ", \"of_yardstick\": " << ratio(row);
  } else {
    out << ", \"yardstick_error\": " << std::quoted(row.yardstick->error);
  }
}

}  // namespace

void Report::print_head(const std::string& device) const {
  if (!yardstick_.name.empty()) std::printf("cuBLASLt, the yardstick: %s\n", yardstick_.name.c_str());
  if (!yardstick_.why_not.empty()) std::printf("cuBLASLt, the yardstick, skipped: %s\n", yardstick_.why_not.c_str());
  std::printf("%s: reads %.1f GB/s; %.0f GOPS of float32 fma, %.0f of int8 by int8, %.0f of int4 by int8\n\n",
              device.c_str(), roofline_.bytes_per_second / 1e9, roofline_.operations_per_second[0] / 1e9,
              roofline_.operations_per_second[1] / 1e9, roofline_.operations_per_second[2] / 1e9);
  const bool compared = !yardstick_.name.empty();
  std::printf("| operation | shape | tokens | ms | GB/s | GOPS | of the floor |%s\n|---|---|---|---|---|---|---|%s\n",
              compared ? " cuBLASLt, ms | ours / its |" : "", compared ? "---|---|" : "");
}

void Report::add(const Row& row) {
  rows_.push_back(row);
  std::printf("| %s | %s | %lld | %.3f | %.1f | %.1f | %.0f %% |", row.operation.c_str(), row.shape.c_str(),
              static_cast<long long>(row.tokens), row.seconds * 1e3, row.work.bytes / row.seconds / 1e9,
              row.work.all_operations() / row.seconds / 1e9, 100 * of_floor(row));
  if (!yardstick_.name.empty()) print_yardstick(row);
  std::printf("\n");
  std::fflush(stdout);
}

bool Report::write_json(const std::string& path, const std::string& device) const {
  std::ofstream out(path);
  out << "{\"device\": \"" << device << "\", \"read_bytes_per_second\": " << roofline_.bytes_per_second
      << ", \"operations_per_second\": [" << roofline_.operations_per_second[0] << ", "
      << roofline_.operations_per_second[1] << ", " << roofline_.operations_per_second[2] << "]";
  if (!yardstick_.name.empty()) out << ", \"yardstick\": " << std::quoted(yardstick_.name);
  if (!yardstick_.why_not.empty()) out << ", \"yardstick_skipped\": " << std::quoted(yardstick_.why_not);
  out << ", \"rows\": [";
  for (size_t i = 0; i < rows_.size(); ++i) {
    const Row& row = rows_[i];
    out << (i == 0 ? "\n" : ",\n") << "{\"operation\": \"" << row.operation << "\", \"shape\": \"" << row.shape
        << "\", \"tokens\": " << row.tokens << ", \"seconds\": " << row.seconds << ", \"bytes\": " << row.work.bytes
        << ", \"operations\": " << row.work.all_operations() << ", \"of_floor\": " << of_floor(row);
    write_yardstick(out, row);
    out << "}";
  }
  out << "\n]}\n";
  return static_cast<bool>(out.flush());
}

}  // namespace halftone::bench
