// What the products of matrices are given. Where sums are rounded, the GPU adds in another order than its host twin,
// and truncates: those probes have bounds; the others are exact whatever the order.
#pragma once

#include <vector>

#include "tests/kernels/cuda/primitives/probe_list.h"

namespace halftone::test {

void add_matrices(std::vector<Probe>& probes);

}  // namespace halftone::test
