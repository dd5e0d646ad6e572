#include "kernels/cuda/primitives/barriers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cuda/primitives/warp.h"
#include "tests/kernels/cuda_host/device_array.h"

namespace halftone::test {
namespace {

using namespace cuda_host;
using testing::AllOf;
using testing::HasSubstr;

constexpr int kNeighbour = 37;

int thread() { return static_cast<int>(threadIdx.x); }
int threads() { return static_cast<int>(blockDim.x); }

std::string here(int line) { return "barriers_test.cc:" + std::to_string(line); }

// out[i] = the value that another thread of the block put into shared memory.
template <bool kBarrier>
HALFTONE_KERNEL void exchange(int* out) {
  int* shared = dynamic_shared<int>();
  shared[thread()] = thread();
  if (kBarrier) __syncthreads();
  out[thread()] = shared[(thread() + kNeighbour) % threads()];
}

class Barriers : public CudaHostTest {
 protected:
  static std::vector<int> exchanged(void (*kernel)(int*), int threads) {
    DeviceArray<int> out(static_cast<size_t>(threads));
    const auto size = static_cast<unsigned>(threads);
    EXPECT_EQ(run(kernel, {1, size, size * sizeof(int), nullptr}, out.data()), cudaSuccess) << last_fault();
    return out.values();
  }

  static std::string fault(void (*kernel)(), int threads) {
    EXPECT_EQ(run(kernel, {1, static_cast<unsigned>(threads), 1024, nullptr}), cudaErrorLaunchFailure);
    return last_fault();
  }
};

TEST_F(Barriers, OrderWritesAndReads) {
  for (int threads : {1, 31, 32, 33, 96, 1024}) {
    std::vector<int> right;
    for (int i = 0; i < threads; ++i) right.push_back((i + kNeighbour) % threads);
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      use({.seed = seed});
      ASSERT_EQ(exchanged(exchange<true>, threads), right) << "seed " << seed;
    }
  }
}

TEST_F(Barriers, OneThatIsMissingIsSeenInEveryOrder) {
  std::vector<int> right;
  for (int i = 0; i < 96; ++i) right.push_back((i + kNeighbour) % 96);
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    use({.seed = seed});
    EXPECT_NE(exchanged(exchange<false>, 96), right) << "seed " << seed;
  }
}

// Threads 0-39 leave early: a whole warp and a part of one.
HALFTONE_KERNEL void exchange_of_the_rest(int* out) {
  int* shared = dynamic_shared<int>();
  out[thread()] = -1;
  if (thread() < 40) return;
  shared[thread()] = thread();
  block_barrier();
  out[thread()] = shared[thread() == 40 ? 95 : thread() - 1];
  block_barrier();
  if (thread() >= 90) return;
  block_barrier();
}

TEST_F(Barriers, DoNotWaitForThreadsThatExited) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    use({.seed = seed});
    const std::vector<int> values = exchanged(exchange_of_the_rest, 96);
    for (int i = 0; i < 96; ++i) {
      EXPECT_EQ(values[static_cast<size_t>(i)], i < 40 ? -1 : i == 40 ? 95 : i - 1);
    }
  }
}

// The first two of three warps wait for each other, twice, while the third waits for all.
HALFTONE_KERNEL void exchange_of_two_warps(int* out) {
  int* shared = dynamic_shared<int>();
  out[thread()] = thread();
  if (thread() < 64) {
    shared[thread()] = thread();
    named_barrier(3, 64);
    const int other = shared[63 - thread()];
    named_barrier(3, 64);
    shared[thread()] = other;
  }
  block_barrier();
  if (thread() >= 64) out[thread()] = shared[thread() - 64];
}

TEST_F(Barriers, NamedOnesAreForSomeWarps) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    use({.seed = seed, .counters = true});
    const std::vector<int> values = exchanged(exchange_of_two_warps, 96);
    for (int i = 0; i < 96; ++i) EXPECT_EQ(values[static_cast<size_t>(i)], i < 64 ? i : 63 - (i - 64));
    EXPECT_EQ(counters().barriers, 3u);
    reset_counters();
  }
}

constexpr int kEvenLine = __LINE__ + 4;
constexpr int kOddLine = kEvenLine + 2;
HALFTONE_KERNEL void diverge() {
  if (thread() % 2 == 0) {
    block_barrier();
  } else {
    block_barrier();
  }
}

TEST_F(Barriers, LanesAtTwoOfThemAreAFaultThatNamesBoth) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    use({.seed = seed});
    EXPECT_THAT(fault(diverge, 32), AllOf(HasSubstr("divergent barrier"), HasSubstr(here(kEvenLine)),
                                          HasSubstr(here(kOddLine)), HasSubstr("of block (0, 0, 0)")));
    reset();
  }
}

constexpr int kNamedLine = __LINE__ + 4;
constexpr int kBlockLine = kNamedLine + 2;
HALFTONE_KERNEL void wait_for_each_other() {
  if (thread() < 32) {
    named_barrier(1, 64);
  } else if (thread() < 95) {
    block_barrier();
  }
}

TEST_F(Barriers, ADeadlockSaysWhoWaitsWhere) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    use({.seed = seed});
    EXPECT_THAT(fault(wait_for_each_other, 96),
                AllOf(HasSubstr("deadlock"), HasSubstr("block (0, 0, 0):"),
                      HasSubstr("threads 0-31: wait in a named barrier at"), HasSubstr(here(kNamedLine)),
                      HasSubstr("threads 32-94: wait in a block barrier at"), HasSubstr(here(kBlockLine)),
                      HasSubstr("threads 95: have exited")));
    reset();
  }
}

HALFTONE_KERNEL void disagree() { named_barrier(2, thread() < 32 ? 64 : 96); }
HALFTONE_KERNEL void take_part_of_a_warp() { named_barrier(2, 48); }
HALFTONE_KERNEL void take_the_blocks() { named_barrier(0, 32); }

TEST_F(Barriers, WrongNumbersAreFaults) {
  EXPECT_THAT(fault(disagree, 96), HasSubstr("named barrier 2 waits for"));
  reset();
  EXPECT_THAT(fault(take_part_of_a_warp, 64), HasSubstr("only whole warps"));
  reset();
  EXPECT_THAT(fault(take_the_blocks, 32), HasSubstr("there are 1 to 15"));
}

HALFTONE_KERNEL void leave_before_shuffle() {
  if (thread() == 7) return;
  shuffle_xor(thread(), 1);
}

HALFTONE_KERNEL void shuffle_without_some() {
  if (thread() == 0) return;
  shuffle_xor(thread(), 1);
}

HALFTONE_KERNEL void shuffle_all() { shuffle_xor(thread(), 1); }

HALFTONE_KERNEL void meet_in_two() {
  if (thread() < 16) {
    shuffle_xor(thread(), 1);
  } else {
    ballot(true);
  }
}

HALFTONE_KERNEL void meet_half() {
  if (thread() % 2 == 0) {
    warp_barrier();
  } else {
    block_barrier();
  }
}

TEST_F(Barriers, AWarpMeetsWithAllLanesOrIsAtFault) {
  EXPECT_THAT(fault(leave_before_shuffle, 32), HasSubstr("lane 7 exits and the others of its warp wait for it"));
  reset();
  EXPECT_THAT(fault(shuffle_without_some, 32), HasSubstr("a warp shuffle of a warp with 31 of its 32 lanes left"));
  reset();
  EXPECT_THAT(fault(shuffle_all, 40), HasSubstr("a warp shuffle of a warp with 8 of its 32 lanes left"));
  reset();
  EXPECT_THAT(fault(meet_in_two, 32), AllOf(HasSubstr("divergent warp: this lane is in a warp vote"),
                                            HasSubstr("others are in a warp shuffle")));
  reset();
  EXPECT_THAT(fault(meet_half, 32), AllOf(HasSubstr("threads 0, 2, 4"), HasSubstr("wait in a warp barrier at"),
                                          HasSubstr("wait in a block barrier at")));
}

}  // namespace
}  // namespace halftone::test
