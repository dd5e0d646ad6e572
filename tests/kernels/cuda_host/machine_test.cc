#include "kernels/cuda_host/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <set>
#include <vector>

#include "kernels/cuda/primitives/barriers.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda_host/sanitizers.h"
#include "tests/kernels/cuda_host/device_array.h"

namespace halftone::test {
namespace {

using namespace cuda_host;
using testing::Each;
using testing::HasSubstr;

class Machine : public CudaHostTest {};

// counts[block][thread] += 1, by the built-in coordinates in three dimensions.
HALFTONE_KERNEL void count_threads(int* counts) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  ++counts[block * blockDim.x * blockDim.y * blockDim.z + thread];
}

TEST_F(Machine, RunsEveryThreadOfEveryBlockOnce) {
  for (int coresident : {1, 3, 100}) {
    use({.seed = 5, .coresident_blocks = coresident});
    DeviceArray<int> counts(std::vector<int>(2 * 3 * 4 * 5 * 6 * 7));
    ASSERT_EQ(run(count_threads, {{2, 3, 4}, {5, 6, 7}}, counts.data()), cudaSuccess);
    EXPECT_THAT(counts.values(), Each(1));
  }
}

HALFTONE_KERNEL void copy_shared(uint32_t* out) { out[threadIdx.x] = dynamic_shared<uint32_t>()[threadIdx.x]; }

TEST_F(Machine, SharedMemoryBeginsPoisonedInEachBlock) {
  DeviceArray<uint32_t> out(32);
  ASSERT_EQ(run(copy_shared, {2, 32, 128}, out.data()), cudaSuccess);
  EXPECT_THAT(out.values(), Each(0xa5a5a5a5u));
}

HALFTONE_KERNEL void write_behind(int offset) { dynamic_shared<char>()[offset] = 1; }

TEST_F(Machine, WritesOutsideOfSharedMemoryAreSeen) {
  ASSERT_EQ(run(write_behind, {1, 1, 100}, 99), cudaSuccess) << last_fault();
  for (int offset : {-1, 100, 1000}) {
    if (__asan_poison_memory_region != nullptr) {
      EXPECT_DEATH(run(write_behind, {1, 1, 100}, offset), "use-after-poison");
    } else {
      EXPECT_EQ(run(write_behind, {1, 1, 100}, offset), cudaErrorLaunchFailure);
      EXPECT_THAT(last_fault(), HasSubstr("block (0, 0, 0) wrote outside of its shared memory"));
    }
    reset();
  }
}

// order[i] = the thread that came as the i-th.
HALFTONE_KERNEL void note_order(uint32_t* order, uint32_t* next) {
  for (int round = 0; round < 2; ++round) {
    order[atomic_add(next, 1)] = threadIdx.x;
    block_barrier();
  }
}

std::vector<uint32_t> order_of(uint64_t seed) {
  configure({.seed = seed});
  DeviceArray<uint32_t> order(2 * 128), next(std::vector<uint32_t>(1));
  EXPECT_EQ(run(note_order, {1, 128}, order.data(), next.data()), cudaSuccess);
  return order.values();
}

TEST_F(Machine, ASeedIsAnOrder) {
  std::vector<uint32_t> in_turn(2 * 128);
  std::iota(in_turn.begin(), in_turn.begin() + 128, 0);
  std::iota(in_turn.begin() + 128, in_turn.end(), 0);
  EXPECT_EQ(order_of(0), in_turn);
  std::set<std::vector<uint32_t>> orders;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const std::vector<uint32_t> order = order_of(seed);
    EXPECT_EQ(order_of(seed), order);
    EXPECT_TRUE(std::is_permutation(order.begin(), order.begin() + 128, in_turn.begin()));
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), kSeeds);
}

// The first block waits for what the second one writes.
HALFTONE_KERNEL void wait_for_next_block(uint32_t* flag) {
  if (blockIdx.x == 1) store_release(flag, 1);
  while (load_acquire(flag) == 0) pause();
}

TEST_F(Machine, CoresidentBlocksCanWaitForEachOther) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    use({.seed = seed, .coresident_blocks = 2});
    DeviceArray<uint32_t> flag(std::vector<uint32_t>(1));
    EXPECT_EQ(run(wait_for_next_block, {2, 64}, flag.data()), cudaSuccess) << last_fault();
  }
}

TEST_F(Machine, ALoopThatNobodyEndsIsAFault) {
  for (uint64_t seed : {0, 1}) {
    use({.seed = seed});
    DeviceArray<uint32_t> flag(std::vector<uint32_t>(1));
    EXPECT_EQ(run(wait_for_next_block, {2, 64}, flag.data()), cudaErrorLaunchFailure);
    EXPECT_THAT(last_fault(), HasSubstr("waits in a loop for memory that nobody changes"));
    reset();
  }
}

// Only one block's threads wait at a time; what they leave on their stacks must not hurt the next.
HALFTONE_KERNEL void use_stack(uint64_t* out, int depth) {
  volatile uint64_t values[512];
  for (int i = 0; i < 512; ++i) values[i] = threadIdx.x + static_cast<uint64_t>(i);
  block_barrier();
  uint64_t sum = 0;
  for (int i = 0; i < 512; ++i) sum += values[i];
  if (depth > 0) return use_stack(out, depth - 1);
  out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

TEST_F(Machine, StacksAreEachThreadsOwn) {
  DeviceArray<uint64_t> out(3 * 256);
  ASSERT_EQ(run(use_stack, {3, 256}, out.data(), 8), cudaSuccess);
  const std::vector<uint64_t> sums = out.values();
  for (size_t i = 0; i < sums.size(); ++i) EXPECT_EQ(sums[i], 512 * (i % 256) + 511 * 512 / 2);
}

TEST_F(Machine, CountsBlocksAndLaunches) {
  DeviceArray<uint32_t> out(32);
  ASSERT_EQ(run(copy_shared, {3, 32, 128}, out.data()), cudaSuccess);
  ASSERT_EQ(run(copy_shared, {4, 32, 128}, out.data()), cudaSuccess);
  EXPECT_EQ(counters().launches, 2u);
  EXPECT_EQ(counters().blocks, 7u);
}

}  // namespace
}  // namespace halftone::test
