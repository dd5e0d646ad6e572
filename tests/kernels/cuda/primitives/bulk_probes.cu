#include "kernels/cuda/primitives/barriers.h"
#include "kernels/cuda/primitives/mbarrier.h"
#include "tests/kernels/cuda/primitives/probe_kernel.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr unsigned kThreads = 64, kSteps = 8, kStages = 2;
constexpr unsigned kWords = 32;  // of a step
constexpr unsigned kStageBytes = kWords * sizeof(uint32_t);

struct Pipeline {
  uint64_t full[kStages], empty[kStages];
  alignas(16) uint32_t words[kStages][kWords];
};

HALFTONE_DEVICE void wait(uint64_t* mbarrier, unsigned round) {
  while (!mbarrier_try_wait(mbarrier, round % 2)) {
  }
}

// One lane of warp 0 fills stages by bulk copies; warp 1 adds up what is in them and gives them back.
HALFTONE_KERNEL void copy_bulk_stages(uint32_t* out, const uint32_t* in) {
  auto& shared = *dynamic_shared<Pipeline>();
  if (threadIdx.x == 0) {
    for (unsigned stage = 0; stage < kStages; ++stage) {
      mbarrier_init(&shared.full[stage], 1);
      mbarrier_init(&shared.empty[stage], 32);
    }
    mbarrier_init_fence();
  }
  block_barrier();
  const uint32_t* steps = in + blockIdx.x * kSteps * kWords;
  uint32_t sum = 0, middle = 0;
  for (unsigned step = 0; step < kSteps; ++step) {
    const unsigned stage = step % kStages, round = step / kStages;
    if (threadIdx.x == 0) {
      if (round > 0) wait(&shared.empty[stage], round - 1);
      mbarrier_arrive_expect_tx(&shared.full[stage], kStageBytes);
      copy_bulk(shared.words[stage], steps + step * kWords, kStageBytes, &shared.full[stage]);
    }
    if (threadIdx.x < 32) continue;
    wait(&shared.full[stage], round);
    sum = sum * 3 + shared.words[stage][threadIdx.x % 32];
    if (step == kSteps / 2) middle = sum;
    mbarrier_arrive(&shared.empty[stage]);
  }
  block_barrier();
  if (threadIdx.x < 32) return;
  out[probe_thread()] = sum;
  out[probe_thread() - 32] = middle;
}

}  // namespace

std::vector<ProbeKernel> bulk_probes() {
  return {{"copy_bulk", copy_bulk_stages, kThreads, kSteps * kWords / kThreads, 1, sizeof(Pipeline)}};
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
