// Cosines and sines of RoPE (Su et al. 2021, section 3.4), with the scalings of Llama 3.1 ("llama3") and of linear
// position interpolation. Angles are made in double on the host. Pure functions.
#pragma once

#include <span>
#include <vector>

#include "server/architecture/model_spec.h"

namespace halftone {

// Radians per position of each of the rotated / 2 pairs, scaling applied; `divisors` (the tensor rope_factors) may be
// empty.
std::vector<double> rope_frequencies(const RopeSpec& rope, std::span<const float> divisors);

// Fills [positions][rotated / 2], of the positions from `first` on.
void fill_rope_table(std::span<const double> frequencies, int64_t first, int64_t positions, float* cosines,
                     float* sines);

}  // namespace halftone
