#include "kernels/cpu/linear_inputs.h"

#include <algorithm>
#include <cstring>

#include "kernels/contract/check.h"

namespace halftone {
namespace {

constexpr int64_t kAlign = 64;
constexpr int64_t kLeastSegment = 16;  // groups of packed formats are no shorter

int64_t stride_of(int64_t cols) { return (cols + 15) / 16 * 16; }
int64_t segments_of(int64_t cols, int64_t segment) { return (cols + segment - 1) / segment; }
int64_t aligned(int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

}  // namespace

int64_t integer_segment(const PackedMatrix& matrix, Activations activations) {
  bool floats = arithmetic_of(*matrix.format, activations) == Arithmetic::kF32;
  return floats ? 0 : a8_segment(matrix.shape, activations);
}

LinearInputs::LinearInputs(const CpuContext& context, std::span<const LinearCall> calls, int64_t scratch_floats)
    : one_scale_(calls[0].activations == Activations::kA8Token), x_(calls[0].x) {
  for (const LinearCall& call : calls) {
    want(integer_segment(*call.weights, call.activations));
    if (call.epilogue.gate.matrix != nullptr) {
      want(integer_segment(*call.epilogue.gate.matrix, call.activations));
    }
  }
  if (cuts_ == 0 && calls[0].rms_weight == nullptr) return;
  std::byte* place = reinterpret_cast<std::byte*>(context.thread_scratch(context.pool.threads(), scratch_floats));
  auto take = [&]<typename T>(T*& out, int64_t count) {
    out = reinterpret_cast<T*>(place);
    place += aligned(count * static_cast<int64_t>(sizeof(T)));
  };
  int64_t rows = x_.rows, cols = x_.cols;
  if (wants_floats_ && calls[0].rms_weight != nullptr) {
    float* normed;
    take(normed, rows * cols);
    x_ = f32_tensor(normed, rows, cols);
  }
  for (int i = 0; i < cuts_; ++i) {
    QuantizedRows& q = rows_[i];
    q.cols = cols;
    q.stride = stride_of(cols);
    q.segments = segments_of(cols, q.segment);
    take(codes_[i], rows * q.stride);
    take(scales_[i], rows * q.segments);
    take(sums_[i], rows * q.segments);
    q.codes = codes_[i], q.scale = scales_[i], q.sum = sums_[i];
  }
  HALFTONE_CHECK(place <= context.workspace + context.workspace_bytes);
  fill(context, calls[0], scratch_floats);
}

void LinearInputs::want(int64_t segment) {
  if (segment == 0) {
    wants_floats_ = true;
    return;
  }
  for (int i = 0; i < cuts_; ++i) {
    if (rows_[i].segment == segment) return;
  }
  HALFTONE_CHECK(cuts_ < kCuts);
  rows_[cuts_++].segment = segment;
}

void LinearInputs::fill(const CpuContext& context, const LinearCall& call, int64_t scratch_floats) {
  constexpr int64_t kRows = 8;
  context.pool.run((x_.rows + kRows - 1) / kRows, [&](int64_t item, int thread) {
    for (int64_t t = item * kRows; t < std::min((item + 1) * kRows, x_.rows); ++t) {
      const float* row = call.x.f32(t);
      if (call.rms_weight != nullptr) {
        float* normed = wants_floats_ ? x_.f32(t) : context.thread_scratch(thread, scratch_floats);
        context.ops().rms_norm(row, call.rms_weight, call.rms_epsilon, x_.cols, normed);
        row = normed;
      }
      for (int i = 0; i < cuts_; ++i) {
        const QuantizedRows& q = rows_[i];
        int8_t* codes = codes_[i] + t * q.stride;
        std::memset(codes + q.cols, 0, static_cast<size_t>(q.stride - q.cols));
        context.ops().quantize(row, q.cols, q.segment, one_scale_, codes, scales_[i] + t * q.segments,
                               sums_[i] + t * q.segments);
      }
    }
  });
}

const QuantizedRows& LinearInputs::quantized(int64_t segment) const {
  const QuantizedRows* found =
      std::find_if(rows_, rows_ + cuts_, [&](const QuantizedRows& q) { return q.segment == segment; });
  HALFTONE_CHECK(found != rows_ + cuts_);
  return *found;
}

size_t linear_inputs_bytes(int64_t max_tokens, int64_t max_cols) {
  int64_t floats = aligned(max_tokens * max_cols * 4);
  int64_t segments = segments_of(max_cols, std::min(kLeastSegment, max_cols));
  int64_t cut = aligned(max_tokens * stride_of(max_cols)) + 2 * aligned(max_tokens * segments * 4);
  return static_cast<size_t>(floats + 2 * cut);
}

}  // namespace halftone
