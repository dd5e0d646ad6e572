#include "bench/report.h"

#include <cstdio>
#include <fstream>

namespace halftone::bench {

void Report::print_head(const std::string& device) const {
  std::printf("%s: reads %.1f GB/s; %.0f GOPS of float32 fma, %.0f of int8 by int8, %.0f of int4 by int8\n\n",
              device.c_str(), floor_.bytes_per_second / 1e9, floor_.operations_per_second[0] / 1e9,
              floor_.operations_per_second[1] / 1e9, floor_.operations_per_second[2] / 1e9);
  std::printf("| operation | shape | tokens | ms | GB/s | GOPS | of the floor |\n|---|---|---|---|---|---|---|\n");
}

void Report::add(const Row& row) {
  rows_.push_back(row);
  std::printf("| %s | %s | %lld | %.3f | %.1f | %.1f | %.0f %% |\n", row.operation.c_str(), row.shape.c_str(),
              static_cast<long long>(row.tokens), row.seconds * 1e3, row.work.bytes / row.seconds / 1e9,
              row.work.all_operations() / row.seconds / 1e9, 100 * of_floor(row));
  std::fflush(stdout);
}

bool Report::write_json(const std::string& path, const std::string& device) const {
  std::ofstream out(path);
  out << "{\"device\": \"" << device << "\", \"read_bytes_per_second\": " << floor_.bytes_per_second
      << ", \"operations_per_second\": [" << floor_.operations_per_second[0] << ", " << floor_.operations_per_second[1]
      << ", " << floor_.operations_per_second[2] << "]"
      << ", \"rows\": [";
  for (size_t i = 0; i < rows_.size(); ++i) {
    const Row& row = rows_[i];
    out << (i == 0 ? "\n" : ",\n") << "{\"operation\": \"" << row.operation << "\", \"shape\": \"" << row.shape
        << "\", \"tokens\": " << row.tokens << ", \"seconds\": " << row.seconds << ", \"bytes\": " << row.work.bytes
        << ", \"operations\": " << row.work.all_operations() << ", \"of_floor\": " << of_floor(row) << "}";
  }
  out << "\n]}\n";
  return static_cast<bool>(out.flush());
}

}  // namespace halftone::bench
