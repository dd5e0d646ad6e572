#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/contract/check.h"
#include "kernels/contract/exp.h"
#include "kernels/reference/operations.h"

namespace halftone::reference {
namespace {

// x as whole numbers of steps, and the steps: one for each segment of a row.
struct Rounded {
  std::vector<int32_t> codes;
  std::vector<float> scale;
};

float a8_scale(const float* x, int64_t n) {
  float amax = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (!std::isfinite(x[i])) return std::nanf("");
    amax = std::max(amax, std::fabs(x[i]));
  }
  return amax < kA8Least ? 0 : amax / 127;
}

Rounded round_row(const float* x, int64_t cols, int64_t segment, bool one_scale) {
  Rounded row;
  for (int64_t first = 0; first < cols; first += segment) {
    const int64_t end = std::min(first + segment, cols);
    const float scale = one_scale ? a8_scale(x, cols) : a8_scale(x + first, end - first);
    row.scale.push_back(scale);
    for (int64_t c = first; c < end; ++c) {
      row.codes.push_back(scale > 0 ? static_cast<int32_t>(std::nearbyint(x[c] * (1 / scale))) : 0);
    }
  }
  return row;
}

// One output: whole numbers within a segment, then segment after segment.
float integer_product(const WeightRows& w, const Rounded& x, int64_t segment) {
  const int64_t group = w.grid.group;
  float y = 0;
  for (int64_t first = 0; first < w.cols; first += segment) {
    const size_t g = static_cast<size_t>(first / group), s = static_cast<size_t>(first / segment);
    const float scale = w.scale[g], minimum = w.minimum[g];
    int32_t zero = 0;  // the code that stands for 0
    if (w.grid.offset == AffineGrid::Offset::kSymmetric) zero = 1 << (w.grid.bits - 1);
    if (w.grid.offset == AffineGrid::Offset::kZeroPoint && scale != 0) zero = static_cast<int32_t>(-minimum / scale);
    int32_t dot = 0, sum = 0;
    for (int64_t c = first; c < std::min(first + segment, w.cols); ++c) {
      const size_t i = static_cast<size_t>(c);
      dot += (w.codes[i] - zero) * x.codes[i];
      sum += x.codes[i];
    }
    y = std::fma(static_cast<float>(dot), scale * x.scale[s], y);
    if (w.grid.offset == AffineGrid::Offset::kMinimum) y = std::fma(minimum, x.scale[s] * static_cast<float>(sum), y);
  }
  return y;
}

void multiply_integers(const PackedMatrix& matrix, const Tensor& x, Activations activations, std::vector<float>& out) {
  const int64_t rows = matrix.shape.rows, segment = a8_segment(matrix.shape, activations);
  for (int64_t t = 0; t < x.rows; ++t) {
    const Rounded row = round_row(x.f32(t), x.cols, segment, activations == Activations::kA8Token);
    for (int64_t r = 0; r < rows; ++r) {
      WeightRows weights;
      matrix.format->unpack_codes(matrix, r, 1, &weights);
      out[static_cast<size_t>(t * rows + r)] = integer_product(weights, row, segment);
    }
  }
}

// out: [x.rows, rows of the matrix].
void multiply(const PackedMatrix& matrix, const Tensor& x, Activations activations, std::vector<float>& out) {
  const int64_t rows = matrix.shape.rows, cols = matrix.shape.cols;
  HALFTONE_CHECK(x.cols == cols);
  out.resize(static_cast<size_t>(x.rows * rows));
  if (arithmetic_of(*matrix.format, activations) != Arithmetic::kF32) {
    return multiply_integers(matrix, x, activations, out);
  }
  std::vector<float> weights(static_cast<size_t>(cols));
  for (int64_t r = 0; r < rows; ++r) {
    matrix.format->unpack_rows(matrix, r, 1, weights.data());
    for (int64_t t = 0; t < x.rows; ++t) {
      const float* in = x.f32(t);
      float sum = 0;
      for (int64_t c = 0; c < cols; ++c) sum = std::fma(weights[static_cast<size_t>(c)], in[c], sum);
      out[static_cast<size_t>(t * rows + r)] = sum;
    }
  }
}

// The activation of one value of the gate's product.
float gate_of(const LinearGate& gate, float product, int64_t token, int64_t row) {
  if (gate.addend.data != nullptr) product = product + gate.addend.f32(token)[row];
  return gate.kind == GateKind::kSilu ? silu_ordered(product) : gelu_tanh_ordered(product);
}

}  // namespace

void embed(const StepBatch& batch, const EmbedCall& call) {
  const PackedMatrix& weights = *call.weights;
  for (size_t t = 0; t < batch.tokens.size(); ++t) {
    float* y = call.y.f32(static_cast<int64_t>(t));
    weights.format->unpack_rows(weights, batch.tokens[t], 1, y);
    for (int64_t c = 0; c < call.y.cols; ++c) y[c] = y[c] * call.scale;
  }
}

void linear(const LinearCall& call) {
  std::vector<float> normed;
  Tensor x = call.x;
  if (call.rms_weight != nullptr) {
    normed.resize(static_cast<size_t>(x.rows * x.cols));
    x = f32_tensor(normed.data(), x.rows, x.cols);
    rms_norm(call.x, call.rms_weight, call.rms_epsilon, x);
  }
  const Epilogue& epilogue = call.epilogue;
  const int64_t rows = call.weights->shape.rows;
  std::vector<float> result, gates;
  multiply(*call.weights, x, call.activations, result);
  if (epilogue.gate.matrix != nullptr) multiply(*epilogue.gate.matrix, x, call.activations, gates);
  for (int64_t t = 0; t < x.rows; ++t) {
    float* y = call.y.f32(t);
    for (int64_t r = 0; r < rows; ++r) {
      const size_t i = static_cast<size_t>(t * rows + r);
      float value = result[i];
      if (epilogue.bias != nullptr) value = value + epilogue.bias[r];
      if (epilogue.gate.matrix != nullptr) value = gate_of(epilogue.gate, gates[i], t, r) * value;
      if (epilogue.cap != 0) value = cap_ordered(value, epilogue.cap);
      y[r] = epilogue.add_to_y ? y[r] + value : value;
    }
  }
}

}  // namespace halftone::reference
