#include "bench/report.h"

#include <cstdio>
#include <fstream>

namespace halftone::bench {

void Report::print_head(const std::string& device) const {
  std::printf("%s: reads %.1f GB/s, %.0f GFLOP/s of float32 fma\n\n", device.c_str(),
              floor_.read_bytes_per_second / 1e9, floor_.flops_per_second / 1e9);
  std::printf("| operation | shape | tokens | ms | GB/s | GFLOP/s | of the floor |\n|---|---|---|---|---|---|---|\n");
}

void Report::add(const Row& row) {
  rows_.push_back(row);
  std::printf("| %s | %s | %lld | %.3f | %.1f | %.1f | %.0f %% |\n", row.operation.c_str(), row.shape.c_str(),
              static_cast<long long>(row.tokens), row.seconds * 1e3, row.bytes / row.seconds / 1e9,
              row.flops / row.seconds / 1e9, 100 * of_floor(row));
  std::fflush(stdout);
}

bool Report::write_json(const std::string& path, const std::string& device) const {
  std::ofstream out(path);
  out << "{\"device\": \"" << device << "\", \"read_bytes_per_second\": " << floor_.read_bytes_per_second
      << ", \"flops_per_second\": " << floor_.flops_per_second << ", \"rows\": [";
  for (size_t i = 0; i < rows_.size(); ++i) {
    const Row& row = rows_[i];
    out << (i == 0 ? "\n" : ",\n") << "{\"operation\": \"" << row.operation << "\", \"shape\": \"" << row.shape
        << "\", \"tokens\": " << row.tokens << ", \"seconds\": " << row.seconds << ", \"bytes\": " << row.bytes
        << ", \"flops\": " << row.flops << ", \"of_floor\": " << of_floor(row) << "}";
  }
  out << "\n]}\n";
  return static_cast<bool>(out.flush());
}

}  // namespace halftone::bench
