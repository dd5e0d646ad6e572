#include <cmath>
#include <vector>

#include "kernels/reference/lane_sum.h"
#include "kernels/reference/operations.h"

namespace halftone::reference {

void rms_norm(const Tensor& x, const float* weight, float epsilon, const Tensor& y) {
  for (int64_t row = 0; row < x.rows; ++row) {
    const float* in = x.f32(row);
    float* out = y.f32(row);
    LaneSum squares;
    for (int64_t c = 0; c < x.cols; ++c) squares.add_product(c, in[c], in[c]);
    const float mean = squares.total() / static_cast<float>(x.cols);
    const float inverse = 1.0f / std::sqrt(mean + epsilon);
    for (int64_t c = 0; c < x.cols; ++c) out[c] = (in[c] * inverse) * weight[c];
  }
}

void norm(const NormCall& call) {
  std::vector<float> normed(static_cast<size_t>(call.x.rows * call.x.cols));
  rms_norm(call.x, call.weight, call.epsilon, f32_tensor(normed.data(), call.x.rows, call.x.cols));
  for (int64_t row = 0; row < call.x.rows; ++row) {
    const float* from = &normed[static_cast<size_t>(row * call.x.cols)];
    float* y = call.y.f32(row);
    for (int64_t c = 0; c < call.x.cols; ++c) y[c] = call.add_to_y ? y[c] + from[c] : from[c];
  }
}

}  // namespace halftone::reference
