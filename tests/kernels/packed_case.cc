#include "tests/kernels/packed_case.h"

#include <algorithm>

#include "tests/kernels/same_bits.h"

namespace halftone::test {

PackedCase::PackedCase(Device& device, const WeightFormat& format, const PackedShape& shape) {
  const PackedBytes bytes = format.bytes(shape);
  codes_ = device.allocate(bytes.codes, {"test", MemoryCategory::kWeights});
  scales_ = device.allocate(bytes.scales, {"test", MemoryCategory::kWeightScales});
  matrix_ = {&format, shape, codes_.data(), scales_.data()};
}

void PackedCase::pack(const std::vector<float>& values) {
  const int64_t rows = matrix_.shape.rows, cols = matrix_.shape.cols;
  WeightRows numbers;
  for (int64_t first = 0; first < rows; first += kPackRows) {
    matrix_.format->quantize(matrix_.shape, std::min(kPackRows, rows - first),
                             &values[static_cast<size_t>(first * cols)], &numbers);
    matrix_.format->pack_rows(matrix_, first, numbers);
  }
}

std::vector<float> PackedCase::unpacked() const {
  std::vector<float> values(static_cast<size_t>(matrix_.shape.rows * matrix_.shape.cols));
  matrix_.format->unpack_rows(matrix_, 0, matrix_.shape.rows, values.data());
  return values;
}

std::optional<PackedCase> PackedCase::random(Device& device, const WeightFormat& format, int64_t rows, int64_t cols,
                                             std::mt19937& random, int group) {
  const std::optional<PackedShape> shape = format.plan(rows, cols, group);
  if (!shape) return std::nullopt;
  std::vector<float> values = normal_floats(random, rows * cols, 0.05f);
  for (size_t i = 0; i < values.size(); i += 41) values[i] *= 8;
  PackedCase packed(device, format, *shape);
  packed.pack(values);
  return packed;
}

WeightRows rows_of_packed(const PackedMatrix& packed, int64_t first, int64_t count) {
  const WeightFormat& format = *packed.format;
  WeightRows rows;
  if (format.unpack_codes != nullptr) {
    format.unpack_codes(packed, first, count, &rows);
    return rows;
  }
  std::vector<float> values(static_cast<size_t>(count * packed.shape.cols));
  format.unpack_rows(packed, first, count, values.data());
  format.quantize(packed.shape, count, values.data(), &rows);
  return rows;
}

}  // namespace halftone::test
