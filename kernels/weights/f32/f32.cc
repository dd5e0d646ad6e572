#include "kernels/weights/f32/f32.h"

#include "kernels/weights/f32/f32_kernels.h"

namespace halftone {
namespace {

// float values[rows / 16][cols][16]; rows beyond the matrix are zero.
float& value(const PackedMatrix& m, int64_t row, int64_t c) {
  int64_t block = row / kRowBlock, lane = row % kRowBlock;
  return reinterpret_cast<float*>(m.codes)[(block * m.shape.cols + c) * kRowBlock + lane];
}

std::optional<PackedShape> plan(int64_t rows, int64_t cols, int) { return PackedShape{.rows = rows, .cols = cols}; }

std::optional<PackedShape> plan_import(int64_t, int64_t, const AffineGrid&) { return std::nullopt; }

PackedBytes bytes(const PackedShape& s) {
  int64_t blocks = (s.rows + kRowBlock - 1) / kRowBlock;
  return {static_cast<size_t>(blocks * kRowBlock * s.cols) * sizeof(float), 0};
}

void quantize(const PackedShape& shape, int64_t count, const float* values, WeightRows* out) {
  out->set_values(count, shape.cols, values, [](float value) { return value; });
}

void pack_rows(const PackedMatrix& packed, int64_t first_row, const WeightRows& rows) {
  for (int64_t r = 0; r < rows.rows; ++r) {
    const float* row = &rows.values[static_cast<size_t>(r * rows.cols)];
    for (int64_t c = 0; c < rows.cols; ++c) value(packed, first_row + r, c) = row[c];
  }
}

void unpack_rows(const PackedMatrix& packed, int64_t first, int64_t count, float* out) {
  int64_t cols = packed.shape.cols;
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t c = 0; c < cols; ++c) out[r * cols + c] = value(packed, first + r, c);
  }
}

constexpr CpuLinear kCpu{{&f32::kAvx512Vnni, &f32::kAvx2, &f32::kEmulated}};

}  // namespace

const WeightFormat kF32{
    .name = "f32",
    .code_bits = 0,
    .scale_name = "",
    .plan = plan,
    .plan_import = plan_import,
    .quantize = quantize,
    .holds = nullptr,
    .bytes = bytes,
    .pack_rows = pack_rows,
    .unpack_rows = unpack_rows,
    .cpu = &kCpu,
};

}  // namespace halftone
