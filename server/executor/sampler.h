// Picks the next token from a row's best candidates. Host code, pure functions, any thread.
//
// The order of operations: penalties, biases and masks change logits ("edits"); then temperature; then top_k, top_p and
// min_p cut the descending list, in this order, each renormalized by what the one before it left; then one draw, keyed
// by (seed, position).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/contract/device.h"
#include "server/executor/executor.h"
#include "server/executor/sampling.h"

namespace halftone {

// The number of best candidates that come back with a row; the whole row is looked at only when a draw needs more.
constexpr int64_t kSampleCandidates = 256;

// How the row's logits are changed, ascending by id.
std::vector<LogitEdit> make_edits(const LogitRow& row, int64_t vocabulary);

// The most probable token is wanted: at temperature 0, and where its inverse is no finite float.
bool is_greedy(const SamplingParams& params);

// What inverse temperature the device has to reduce with; 0 for greedy rows, which need no sum.
float inverse_temperature(const SamplingParams& params);

// As the draw sees an edited logit: one that penalties drove beyond the floats is the greatest of them.
double bounded_logit(float logit);

// Uniform in [0, 1).
double draw(uint64_t seed, int64_t position);

// The chosen candidate's index. `candidates` is descending and holds the best ones after edits, `complete` says that
// there are no others; logsumexp is of the whole edited row at this temperature, and need not be finite. Nothing: the
// answer lies beyond the candidates.
std::optional<size_t> choose(const SamplingParams& params, int64_t position, std::span<const LogitCandidate> candidates,
                             bool complete, float logsumexp);

}  // namespace halftone
