// A seeded matrix in a weight format, on a device.
#pragma once

#include <optional>
#include <random>
#include <vector>

#include "kernels/contract/device.h"

namespace halftone::test {

class PackedCase {
 public:
  PackedCase(Device& device, const WeightFormat& format, const PackedShape& shape);
  // Values as they come out of a model: small, a few of them large. Nothing: the format can't hold this shape.
  static std::optional<PackedCase> random(Device& device, const WeightFormat& format, int64_t rows, int64_t cols,
                                          std::mt19937& random, int group = 0);

  // 64 rows at a time, as the loader does.
  void pack(const std::vector<float>& values);
  const PackedMatrix& matrix() const { return matrix_; }
  std::vector<float> unpacked() const;

 private:
  Buffer codes_, scales_;
  PackedMatrix matrix_;
};

// Rows that a matrix in the host's layout holds, as numbers again.
WeightRows rows_of_packed(const PackedMatrix& packed, int64_t first, int64_t count);

}  // namespace halftone::test
