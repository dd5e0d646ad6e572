#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/contract/check.h"
#include "kernels/reference/exact.h"

namespace halftone::reference {
namespace {

constexpr double kU = kFloatRounding;

struct Inputs {
  std::vector<double> values;  // [tokens, cols]
  double error = 0;            // of each value, relative
};

Inputs inputs_of(const LinearCall& call) {
  const Tensor& x = call.x;
  Inputs inputs;
  for (int64_t t = 0; t < x.rows; ++t) {
    const float* row = x.f32(t);
    double squares = 0;
    for (int64_t c = 0; c < x.cols; ++c) squares += static_cast<double>(row[c]) * row[c];
    const double inverse = 1 / std::sqrt(squares / static_cast<double>(x.cols) + call.rms_epsilon);
    for (int64_t c = 0; c < x.cols; ++c) {
      inputs.values.push_back(call.rms_weight == nullptr ? row[c] : row[c] * inverse * call.rms_weight[c]);
    }
  }
  if (call.rms_weight != nullptr) inputs.error = (static_cast<double>(x.cols) + 12) * kU;
  return inputs;
}

// How far an input of a segment may be moved by its rounding to int8, of one token.
std::vector<double> rounding_of(const double* x, int64_t cols, int64_t segment, bool one_scale) {
  std::vector<double> moved;
  for (int64_t first = 0; first < cols; first += segment) {
    const int64_t end = std::min(first + segment, cols);
    double amax = 0;
    for (int64_t c = one_scale ? 0 : first; c < (one_scale ? cols : end); ++c) amax = std::max(amax, std::fabs(x[c]));
    for (int64_t c = first; c < end; ++c) moved.push_back(amax / 127 * (0.5 + 1e-4) + kA8Least);
  }
  return moved;
}

// Where codes and minimums are added up apart, |scale * (q - zero)| + |minimum| takes the weight's place in the
// roundings.
std::vector<double> magnitudes(const PackedMatrix& matrix, int64_t row, bool always_apart) {
  WeightRows w;
  matrix.format->unpack_codes(matrix, row, 1, &w);
  std::vector<double> out;
  for (size_t c = 0; c < w.codes.size(); ++c) {
    const size_t g = c / static_cast<size_t>(w.grid.group);
    const double product = static_cast<double>(w.scale[g]) * w.codes[c], minimum = w.minimum[g];
    const bool apart = always_apart || w.grid.offset == AffineGrid::Offset::kMinimum;
    out.push_back(apart ? std::fabs(product) + std::fabs(minimum) : std::fabs(product + minimum));
  }
  return out;
}

std::vector<Bounded> multiply_rounded(const PackedMatrix& matrix, const Inputs& inputs, int64_t tokens,
                                      Activations activations) {
  const int64_t rows = matrix.shape.rows, cols = matrix.shape.cols, segment = a8_segment(matrix.shape, activations);
  const int64_t segments = (cols + segment - 1) / segment;
  const double roundings = static_cast<double>(2 * segments + 8);
  std::vector<Bounded> out(static_cast<size_t>(tokens * rows));
  std::vector<float> weights(static_cast<size_t>(cols));
  for (int64_t t = 0; t < tokens; ++t) {
    const double* x = &inputs.values[static_cast<size_t>(t * cols)];
    const std::vector<double> moved = rounding_of(x, cols, segment, activations == Activations::kA8Token);
    for (int64_t r = 0; r < rows; ++r) {
      matrix.format->unpack_rows(matrix, r, 1, weights.data());
      const std::vector<double> sizes = magnitudes(matrix, r, false);
      Bounded& y = out[static_cast<size_t>(t * rows + r)];
      for (size_t c = 0; c < weights.size(); ++c) {
        y.value += weights[c] * x[c];
        const double error = moved[c] + inputs.error * std::fabs(x[c]);
        y.bound += std::fabs(weights[c]) * error + roundings * kU * sizes[c] * (std::fabs(x[c]) + error);
      }
    }
  }
  return out;
}

std::vector<Bounded> multiply(const PackedMatrix& matrix, const Inputs& inputs, int64_t tokens, Activations activations,
                              bool minimum_apart) {
  if (arithmetic_of(*matrix.format, activations) != Arithmetic::kF32) {
    return multiply_rounded(matrix, inputs, tokens, activations);
  }
  const int64_t rows = matrix.shape.rows, cols = matrix.shape.cols;
  HALFTONE_CHECK(static_cast<int64_t>(inputs.values.size()) == tokens * cols);
  std::vector<Bounded> out(static_cast<size_t>(tokens * rows));
  std::vector<float> weights(static_cast<size_t>(cols));
  for (int64_t r = 0; r < rows; ++r) {
    matrix.format->unpack_rows(matrix, r, 1, weights.data());
    std::vector<double> sizes(weights.begin(), weights.end());
    if (minimum_apart && matrix.format->code_bits > 0) sizes = magnitudes(matrix, r, true);
    for (int64_t t = 0; t < tokens; ++t) {
      const double* x = &inputs.values[static_cast<size_t>(t * cols)];
      double sum = 0, terms = 0;
      for (size_t c = 0; c < weights.size(); ++c) {
        sum += weights[c] * x[c];
        terms += std::fabs(sizes[c] * x[c]);
      }
      out[static_cast<size_t>(t * rows + r)] = {sum, terms * (static_cast<double>(cols) * kU + inputs.error)};
    }
  }
  return out;
}

Bounded plus(const Bounded& a, double b) {
  const double sum = a.value + b;
  return {sum, a.bound + kU * (std::fabs(sum) + a.bound)};
}

// Of a gate's product. Both slopes are at most 1.13. silu is made of an exp, a sum and a division; the exponent of GELU
// is rounded four times more, where |exponent| times what GELU loses by it, e^-|exponent|, is at most 1.
Bounded activated(GateKind kind, const Bounded& gate) {
  const double x = gate.value;
  const double exponent =
      kind == GateKind::kSilu ? -x : -2 * std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  const double value = x / (1 + std::exp(exponent));
  const double roundings = kind == GateKind::kSilu ? 6 * std::fabs(value) : 6 * std::fabs(value) + 8 * std::fabs(x);
  return {value, 1.13 * gate.bound + kU * (roundings + 8 * gate.bound)};
}

Bounded times(const Bounded& a, const Bounded& b) {
  const double value = a.value * b.value;
  const double bound = a.bound * std::fabs(b.value) + std::fabs(a.value) * b.bound + a.bound * b.bound;
  return {value, bound + kU * (std::fabs(value) + bound)};
}

// tanh is no steeper than 1; 6 roundings: the quotient's, tanh's 3 ulps, the product's.
Bounded capped(const Bounded& x, double cap) {
  const double value = cap * std::tanh(x.value / cap);
  return {value, x.bound + 8 * kU * (std::fabs(value) + x.bound)};
}

}  // namespace

std::vector<Bounded> exact_linear(const LinearCall& call, const LinearRounding& rounding) {
  Inputs inputs = inputs_of(call);
  if (call.rms_weight != nullptr) inputs.error += rounding.input;
  const Epilogue& epilogue = call.epilogue;
  const int64_t tokens = call.x.rows, rows = call.weights->shape.rows;
  auto product = [&](const PackedMatrix& weights) {
    return multiply(weights, inputs, tokens, call.activations, rounding.minimum_apart);
  };
  std::vector<Bounded> out = product(*call.weights), gates;
  if (epilogue.gate.matrix != nullptr) gates = product(*epilogue.gate.matrix);
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t r = 0; r < rows; ++r) {
      const size_t i = static_cast<size_t>(t * rows + r);
      if (epilogue.bias != nullptr) out[i] = plus(out[i], epilogue.bias[r]);
      if (epilogue.gate.matrix != nullptr) {
        if (epilogue.gate.addend.data != nullptr) gates[i] = plus(gates[i], epilogue.gate.addend.f32(t)[r]);
        out[i] = times(activated(epilogue.gate.kind, gates[i]), out[i]);
      }
      if (epilogue.cap != 0) out[i] = capped(out[i], epilogue.cap);
      if (epilogue.add_to_y) out[i] = plus(out[i], call.y.f32(t)[r]);
      out[i].bound += rounding.output * (std::fabs(out[i].value) + out[i].bound);
    }
  }
  return out;
}

std::vector<Bounded> exact_norm(const NormCall& call, const LinearRounding& rounding) {
  LinearCall normed;
  normed.x = call.x;
  normed.rms_weight = call.weight;
  normed.rms_epsilon = call.epsilon;
  const Inputs inputs = inputs_of(normed);
  std::vector<Bounded> out;
  for (int64_t t = 0; t < call.x.rows; ++t) {
    for (int64_t c = 0; c < call.x.cols; ++c) {
      const double value = inputs.values[static_cast<size_t>(t * call.x.cols + c)];
      out.push_back({value, std::fabs(value) * inputs.error});
      if (call.add_to_y) out.back() = plus(out.back(), call.y.f32(t)[c]);
      out.back().bound += rounding.output * (std::fabs(out.back().value) + out.back().bound);
    }
  }
  return out;
}

Bounded exact_logsumexp(std::span<const float> row, float scale, int64_t additions) {
  if (additions == 0) additions = std::ssize(row);
  std::vector<double> values;  // as they are before they are rounded
  for (float x : row) values.push_back(static_cast<double>(x) * scale);
  const double max = *std::max_element(values.begin(), values.end());
  double sum = 0, farthest = 0, largest = 0;
  for (double x : values) {
    sum += std::exp(x - max);
    // Terms of less than e^-104 vanish beside the largest, which is 1.
    if (max - x > 104) continue;
    farthest = std::max(farthest, max - x);
    largest = std::max(largest, std::fabs(x));
  }
  const double value = max + std::log(sum);
  // Of a term: its value where it is scaled, its distance from the largest, its exp, the additions. The logarithm is
  // taken in double.
  const double roundings = (scale == 1 ? 0 : largest) + farthest + 8 + static_cast<double>(additions);
  return {value, kU * (roundings + std::fabs(value))};
}

}  // namespace halftone::reference
