// What the parts of the CPU device share: threads, the instruction set's loops, scratch. Engine thread only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/contract/device.h"
#include "kernels/cpu/cpu_body.h"
#include "kernels/cpu/thread_pool.h"

namespace halftone {

struct CpuContext {
  ThreadPool& pool;
  CpuBody body;
  StepBatch batch = {};
  std::byte* workspace = nullptr;
  size_t workspace_bytes = 0;

  const CpuOps& ops() const { return body.ops; }
  const CpuLinearKernels& kernels(const WeightFormat& format) const { return *body.kernels(format); }
  // `floats` of scratch for each thread, one after the other; ends the process when the workspace is too small for it.
  float* thread_scratch(int thread, int64_t floats) const;
};

// `memory`: far larger than the caches, a multiple of 4096 floats; held like weights are.
DeviceRoofline cpu_measure_roofline(const CpuContext& context, std::span<const float> memory);
void cpu_linear(const CpuContext& context, std::span<const LinearCall> calls);
// Returns how many values were clamped.
int64_t cpu_rope_store(const CpuContext& context, const RopeStoreCall& call);
void cpu_attention(const CpuContext& context, const AttentionCall& call);
void cpu_route(const CpuContext& context, const RouteCall& call);
// Returns how many experts were read.
int64_t cpu_experts(const CpuContext& context, const ExpertsCall& call);
void cpu_reduce_logits(const CpuContext& context, std::span<LogitReduction> rows);

size_t cpu_linear_workspace(int threads, int64_t max_tokens, int64_t max_cols);
size_t cpu_attention_workspace(int threads, int64_t heads, int64_t head_dim);

}  // namespace halftone
