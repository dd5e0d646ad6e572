// Some rows of a matrix in its format's own layout, in host memory: where they are packed for a device that holds them
// otherwise. Zeroed, as packers want it. One thread.
#pragma once

#include <vector>

#include "kernels/contract/weight_format.h"

namespace halftone {

class HostMatrix {
 public:
  // The first `rows` rows of such a matrix.
  HostMatrix(const WeightFormat& format, PackedShape shape, int64_t rows) {
    shape.rows = rows;
    const PackedBytes bytes = format.bytes(shape);
    const size_t codes = lines_of(bytes.codes), scales = lines_of(bytes.scales);
    lines_.resize(codes + scales);
    matrix_ = {&format, shape, lines_[0].bytes, scales > 0 ? lines_[codes].bytes : nullptr};
  }
  HostMatrix(const HostMatrix&) = delete;
  HostMatrix& operator=(const HostMatrix&) = delete;

  const PackedMatrix& matrix() const { return matrix_; }

 private:
  struct alignas(64) Line {
    std::byte bytes[64] = {};
  };
  static size_t lines_of(size_t bytes) { return (bytes + sizeof(Line) - 1) / sizeof(Line); }

  std::vector<Line> lines_;
  PackedMatrix matrix_;
};

}  // namespace halftone
