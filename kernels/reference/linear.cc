#include <cmath>
#include <vector>

#include "kernels/contract/check.h"
#include "kernels/contract/exp.h"
#include "kernels/reference/operations.h"

namespace halftone::reference {
namespace {

// out: [x.rows, rows of the matrix].
void multiply(const PackedMatrix& matrix, const Tensor& x, std::vector<float>& out) {
  const int64_t rows = matrix.shape.rows, cols = matrix.shape.cols;
  HALFTONE_CHECK(x.cols == cols);
  out.resize(static_cast<size_t>(x.rows * rows));
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

}  // namespace

void embed(const EmbedCall& call) {
  const PackedMatrix& weights = *call.weights;
  for (size_t t = 0; t < call.tokens.size(); ++t) {
    weights.format->unpack_rows(weights, call.tokens[t], 1, call.y.f32(static_cast<int64_t>(t)));
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
  std::vector<float> result, up;
  multiply(*call.weights, x, result);
  if (epilogue.swiglu_up != nullptr) multiply(*epilogue.swiglu_up, x, up);
  for (int64_t t = 0; t < x.rows; ++t) {
    float* y = call.y.f32(t);
    for (int64_t r = 0; r < rows; ++r) {
      const size_t i = static_cast<size_t>(t * rows + r);
      float value = result[i];
      if (epilogue.bias != nullptr) value = value + epilogue.bias[r];
      if (epilogue.swiglu_up != nullptr) value = silu_ordered(value) * up[i];
      y[r] = epilogue.add_to_y ? y[r] + value : value;
    }
  }
}

}  // namespace halftone::reference
