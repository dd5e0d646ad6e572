// Every operation of Device in plain loops, in the very order that docs/NUMERICS.md fixes: an *ordered* device has
// these bits. Any thread; slow on purpose; nothing is allocated on a device. Shapes are those of the calls in
// kernels/contract/device.h; `batch` is what the device was told with begin().
#pragma once

#include "kernels/contract/device.h"

namespace halftone::reference {

// y = x / rms(x) * weight, row by row; y may be x. x, y: [rows, cols].
void rms_norm(const Tensor& x, const float* weight, float epsilon, const Tensor& y);

void embed(const StepBatch& batch, const EmbedCall& call);
void linear(const LinearCall& call);
void norm(const NormCall& call);
void route(const StepBatch& batch, const RouteCall& call);
void experts(const ExpertsCall& call);
// Returns how many values were clamped.
int64_t rope_store(const StepBatch& batch, const RopeStoreCall& call);
void attention(const StepBatch& batch, const AttentionCall& call);
void reduce_logits(LogitReduction& row);

}  // namespace halftone::reference
