#include "kernels/weights/bf16/bf16.h"

#include "kernels/contract/numbers.h"
#include "kernels/weights/bf16/bf16_kernels.h"

namespace halftone {
namespace {

// uint16_t values[rows / 16][cols][16]; rows beyond the matrix are zero.
uint16_t& value(const PackedMatrix& m, int64_t row, int64_t c) {
  int64_t block = row / kRowBlock, lane = row % kRowBlock;
  return reinterpret_cast<uint16_t*>(m.codes)[(block * m.shape.cols + c) * kRowBlock + lane];
}

std::optional<PackedShape> plan(int64_t rows, int64_t cols, int) { return PackedShape{.rows = rows, .cols = cols}; }

std::optional<PackedShape> plan_import(int64_t, int64_t, const AffineGrid&) { return std::nullopt; }

PackedBytes bytes(const PackedShape& s) {
  int64_t blocks = (s.rows + kRowBlock - 1) / kRowBlock;
  return {static_cast<size_t>(blocks * kRowBlock * s.cols) * sizeof(uint16_t), 0};
}

void quantize(const PackedShape& shape, int64_t count, const float* values, WeightRows* out) {
  out->set_values(count, shape.cols, values, [](float value) { return f32_from_bf16(bf16_from_f32(value)); });
}

void pack_rows(const PackedMatrix& packed, int64_t first_row, const WeightRows& rows) {
  for (int64_t r = 0; r < rows.rows; ++r) {
    const float* row = &rows.values[static_cast<size_t>(r * rows.cols)];
    for (int64_t c = 0; c < rows.cols; ++c) value(packed, first_row + r, c) = bf16_from_f32(row[c]);
  }
}

void unpack_rows(const PackedMatrix& packed, int64_t first, int64_t count, float* out) {
  int64_t cols = packed.shape.cols;
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t c = 0; c < cols; ++c) out[r * cols + c] = f32_from_bf16(value(packed, first + r, c));
  }
}

constexpr CpuLinear kCpu{{&bf16::kAvx512Vnni, &bf16::kAvx2, &bf16::kEmulated}};

}  // namespace

const WeightFormat kBf16{
    .name = "bf16",
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
