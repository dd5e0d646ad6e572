// Draws from a row of logits that is there as a whole, without sorting it: for draws that fall beyond the best
// candidates. Host code, pure functions, any thread.
//
// The row is counted once into bins of falling logits, each with its number of tokens and their mass. A cut or a draw
// is a place in that order: it is found by walking the bins and sorting the one where it lies. So the work grows with
// the vocabulary alone, whatever the request asks for, and sums run in one fixed order: the same row, edits and key
// always give the same token.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/contract/device.h"
#include "server/executor/sampling.h"

namespace halftone {

// e^x for x <= 0, within 2e-15 of its value; 0 below -708.
double exp_of_negative(double x);

// What choose() takes from a complete list. `logits`: the raw row; `edits`: ascending by id; `best`: the greatest
// edited logit, more than -infinity. For requests that draw: not greedy ones.
LogitCandidate choose_from_row(const SamplingParams& params, int64_t position, std::span<const float> logits,
                               std::span<const LogitEdit> edits, float best);

}  // namespace halftone
