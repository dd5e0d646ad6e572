#include "server/model/rope_table.h"

#include <cmath>
#include <numbers>

namespace halftone {
namespace {

// Long wavelengths are stretched by `factor`, short ones stay, those between are blended.
double scale_llama3(double frequency, const RopeScaling& s) {
  double wavelength = 2 * std::numbers::pi / frequency, context = static_cast<double>(s.original_context);
  double longest = context / s.low_frequency_factor, shortest = context / s.high_frequency_factor;
  if (wavelength < shortest) return frequency;
  if (wavelength > longest) return frequency / s.factor;
  double blend = (context / wavelength - s.low_frequency_factor) / (s.high_frequency_factor - s.low_frequency_factor);
  return (1 - blend) * frequency / s.factor + blend * frequency;
}

}  // namespace

std::vector<double> rope_frequencies(const RopeSpec& rope, std::span<const float> divisors) {
  std::vector<double> frequencies(static_cast<size_t>(rope.rotated / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    double exponent = static_cast<double>(2 * i) / static_cast<double>(rope.rotated);
    double frequency = std::pow(static_cast<double>(rope.theta), -exponent);
    if (i < divisors.size()) frequency /= static_cast<double>(divisors[i]);
    if (rope.scaling.kind == RopeScaling::Kind::kLlama3) {
      frequency = scale_llama3(frequency, rope.scaling);
    } else if (rope.scaling.kind == RopeScaling::Kind::kLinear) {
      frequency /= static_cast<double>(rope.scaling.factor);
    }
    frequencies[i] = frequency;
  }
  return frequencies;
}

void fill_rope_table(std::span<const double> frequencies, int64_t first, int64_t positions, float* cosines,
                     float* sines) {
  for (int64_t p = first; p < first + positions; ++p) {
    for (double frequency : frequencies) {
      double angle = static_cast<double>(p) * frequency;
      *cosines++ = static_cast<float>(std::cos(angle));
      *sines++ = static_cast<float>(std::sin(angle));
    }
  }
}

}  // namespace halftone
