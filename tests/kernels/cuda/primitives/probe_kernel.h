// How a probe is written: out[block][thread][words_out] from in[block][thread][words_in]. out begins as zeros, and some
// kernels use it as one array for all blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/cuda/launch.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

struct ProbeKernel {
  const char* name;
  void (*kernel)(uint32_t* out, const uint32_t* in);
  unsigned threads;              // of a block
  unsigned words_in, words_out;  // of a thread
  size_t shared_bytes = 0;
};

// The lists of the *_probes.cu.
std::vector<ProbeKernel> number_probes();
std::vector<ProbeKernel> warp_probes();
std::vector<ProbeKernel> matrix_probes();
std::vector<ProbeKernel> memory_probes();
std::vector<ProbeKernel> bulk_probes();  // sm_90

HALFTONE_DEVICE unsigned probe_thread() { return blockIdx.x * blockDim.x + threadIdx.x; }

// A NaN's other bits are nobody's promise: all of them are one word.
HALFTONE_DEVICE uint32_t same_nan(uint32_t f32) { return (f32 & 0x7fffffffu) > 0x7f800000u ? 0x7fc00000u : f32; }

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
