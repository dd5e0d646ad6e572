#include "kernels/cuda/primitives/mbarrier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/cuda/primitives/barriers.h"
#include "tests/kernels/cuda_host/device_array.h"

namespace halftone::test {
namespace {

using namespace cuda_host;
using testing::AllOf;
using testing::HasSubstr;

enum class Mistake { kNone, kWrongParity, kNoEmptyWait, kTooManyBytesExpected, kTooManyArrivals, kNoInit };

constexpr unsigned kStages = 2, kSteps = 7, kWords = 32;  // a step's
constexpr unsigned kStageBytes = kWords * sizeof(uint32_t);

struct Pipeline {
  uint64_t full[kStages], empty[kStages];
  alignas(16) uint32_t words[kStages][kWords];
};

// Warp 0's first lane fills stages with bulk copies; warp 1 adds what is in them to its sums.
template <Mistake kMistake>
HALFTONE_DEVICE void produce(Pipeline& shared, const uint32_t* in) {
  for (unsigned step = 0; step < kSteps; ++step) {
    const unsigned stage = step % kStages, round = step / kStages;
    if (round > 0 && kMistake != Mistake::kNoEmptyWait) {
      while (!mbarrier_try_wait(&shared.empty[stage], (round - 1) % 2)) {
      }
    }
    mbarrier_arrive_expect_tx(&shared.full[stage],
                              kMistake == Mistake::kTooManyBytesExpected ? 2 * kStageBytes : kStageBytes);
    copy_bulk(shared.words[stage], in + step * kWords, kStageBytes, &shared.full[stage]);
  }
}

template <Mistake kMistake>
HALFTONE_DEVICE void consume(Pipeline& shared, uint32_t* out) {
  const unsigned lane = threadIdx.x % 32;
  uint32_t sum = 0;
  for (unsigned step = 0; step < kSteps; ++step) {
    const unsigned stage = step % kStages, round = step / kStages;
    while (!mbarrier_try_wait(&shared.full[stage], (round + (kMistake == Mistake::kWrongParity ? 1 : 0)) % 2)) {
    }
    sum = sum * 3 + shared.words[stage][lane];
    mbarrier_arrive(&shared.empty[stage]);
    if (kMistake == Mistake::kTooManyArrivals) mbarrier_arrive(&shared.empty[stage]);
  }
  out[lane] = sum;
}

template <Mistake kMistake>
HALFTONE_KERNEL void pipeline(uint32_t* out, const uint32_t* in) {
  auto& shared = *dynamic_shared<Pipeline>();
  if (threadIdx.x == 0 && kMistake != Mistake::kNoInit) {
    for (unsigned stage = 0; stage < kStages; ++stage) {
      mbarrier_init(&shared.full[stage], 1);
      mbarrier_init(&shared.empty[stage], 32);
    }
    mbarrier_init_fence();
  }
  block_barrier();
  if (threadIdx.x == 0) produce<kMistake>(shared, in);
  if (threadIdx.x >= 32) consume<kMistake>(shared, out);
}

class Mbarrier : public CudaHostTest {
 protected:
  struct Outcome {
    bool right;
    std::string fault;
  };

  template <Mistake kMistake>
  static Outcome outcome(uint64_t seed, bool eager_copies) {
    use({.seed = seed, .eager_copies = eager_copies});
    std::vector<uint32_t> values(kSteps * kWords);
    std::iota(values.begin(), values.end(), 1u);
    std::vector<uint32_t> right(32);
    for (unsigned i = 0; i < kSteps * kWords; ++i) right[i % 32] = right[i % 32] * 3 + values[i];
    DeviceArray<uint32_t> in(values), out(32);
    const cudaError_t error = run(pipeline<kMistake>, {1, 64, sizeof(Pipeline)}, out.data(), in.data());
    const std::string fault = last_fault();
    reset();
    return {error == cudaSuccess && out.values() == right, fault};
  }

  // By one of the orders of threads and copies.
  template <Mistake kMistake>
  static bool seen() {
    bool seen = false;
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      for (bool eager : {false, true}) seen |= !outcome<kMistake>(seed, eager).right;
    }
    return seen;
  }
};

TEST_F(Mbarrier, MovesStagesThroughPhases) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    for (bool eager : {false, true}) {
      const Outcome result = outcome<Mistake::kNone>(seed, eager);
      EXPECT_TRUE(result.right) << "seed " << seed << ": " << result.fault;
    }
  }
}

// Copies of one block happen while threads of another wait.
TEST_F(Mbarrier, BelongsToItsBlock) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    use({.seed = seed, .coresident_blocks = 3});
    DeviceArray<uint32_t> in(std::vector<uint32_t>(kSteps * kWords, 1)), out(32);
    ASSERT_EQ(run(pipeline<Mistake::kNone>, {7, 64, sizeof(Pipeline)}, out.data(), in.data()), cudaSuccess)
        << last_fault();
    EXPECT_THAT(out.values(), testing::Each((2187u - 1) / 2));  // 1 + 3 + .. + 3^6
  }
}

TEST_F(Mbarrier, MistakesAreSeen) {
  EXPECT_TRUE(seen<Mistake::kWrongParity>());
  EXPECT_TRUE(seen<Mistake::kNoEmptyWait>());
  EXPECT_TRUE(seen<Mistake::kTooManyArrivals>());
}

TEST_F(Mbarrier, ReportsSayWhatIsWaitedFor) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    EXPECT_THAT(outcome<Mistake::kTooManyBytesExpected>(seed, false).fault,
                AllOf(HasSubstr("deadlock"), HasSubstr("threads 32-63: wait in mbarrier_try_wait at"),
                      HasSubstr("mbarrier_test.cc:")));
    EXPECT_THAT(outcome<Mistake::kNoInit>(seed, false).fault, HasSubstr("never initialized"));
  }
}

HALFTONE_KERNEL void end_before_copy(const uint32_t* in) {
  auto& shared = *dynamic_shared<Pipeline>();
  mbarrier_init(&shared.full[0], 1);
  mbarrier_arrive_expect_tx(&shared.full[0], kStageBytes);
  copy_bulk(shared.words[0], in, kStageBytes, &shared.full[0]);
}

TEST_F(Mbarrier, ABlockMayNotEndBeforeItsCopies) {
  DeviceArray<uint32_t> in(kWords);
  EXPECT_EQ(run(end_before_copy, {1, 1, sizeof(Pipeline)}, in.data()), cudaErrorLaunchFailure);
  EXPECT_THAT(last_fault(), HasSubstr("ended before its bulk copies did"));
}

HALFTONE_KERNEL void try_first_phase(uint32_t* out) {
  auto* barrier = dynamic_shared<uint64_t>();
  mbarrier_init(barrier, 2);
  out[0] = mbarrier_try_wait(barrier, 1) ? 1 : 0;  // the phase before the first is complete
  mbarrier_arrive(barrier);
  mbarrier_arrive(barrier);
  out[1] = mbarrier_try_wait(barrier, 0) ? 1 : 0;
  mbarrier_arrive(barrier);
  mbarrier_arrive(barrier);
  out[2] = mbarrier_try_wait(barrier, 1) ? 1 : 0;
}

TEST_F(Mbarrier, ParityAlternates) {
  DeviceArray<uint32_t> out(std::vector<uint32_t>(3));
  EXPECT_EQ(run(try_first_phase, {1, 1, 8}, out.data()), cudaSuccess);
  EXPECT_THAT(out.values(), testing::Each(1u));
}

}  // namespace
}  // namespace halftone::test
