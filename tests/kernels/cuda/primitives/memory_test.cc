#include "kernels/cuda/primitives/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/cuda_host/sanitizers.h"
#include "tests/kernels/cuda_host/device_array.h"

namespace halftone::test {
namespace {

using namespace cuda_host;
using testing::HasSubstr;

// Thread i copies the 16 bytes at place i * stride, through shared memory.
template <bool kOnce>
HALFTONE_KERNEL void copy(Bytes16* to, const Bytes16* from, unsigned stride) {
  Bytes16* shared = dynamic_shared<Bytes16>();
  const Bytes16* mine = from + threadIdx.x * stride;
  store_shared(shared + threadIdx.x, kOnce ? load_16_once(mine) : load_16(mine));
  store_16(to + threadIdx.x, load_shared(shared + threadIdx.x));
}

// Every lane reads the word at lane * stride.
HALFTONE_KERNEL void read_words(uint32_t* out, unsigned stride) {
  uint32_t* shared = dynamic_shared<uint32_t>();
  store_shared(shared + threadIdx.x, threadIdx.x);
  for (unsigned i = threadIdx.x; i < 1024; i += 32) shared[i] = i;
  __syncthreads();
  out[threadIdx.x] = load_shared(shared + threadIdx.x * stride);
}

HALFTONE_KERNEL void add_up(uint32_t* sum, uint32_t* tickets) { tickets[atomic_add(sum, 1)] = 1; }

class CudaMemory : public CudaHostTest {
 protected:
  static std::vector<Bytes16> counted(uint32_t size) {
    std::vector<Bytes16> values;
    for (uint32_t i = 0; i < size; ++i) values.push_back({4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3});
    return values;
  }

  template <bool kOnce>
  static Counters copied(unsigned stride) {
    reset_counters();
    use({.counters = true});
    DeviceArray<Bytes16> from(counted(32 * stride)), to(32);
    EXPECT_EQ(run(copy<kOnce>, {1, 32, 512}, to.data(), from.data(), stride), cudaSuccess) << last_fault();
    const std::vector<Bytes16> values = to.values();
    for (uint32_t i = 0; i < 32; ++i) {
      EXPECT_EQ(values[i].x, 4 * i * stride);
      EXPECT_EQ(values[i].w, 4 * i * stride + 3);
    }
    return counters();
  }

  static Counters read(unsigned stride) {
    reset_counters();
    use({.counters = true});
    DeviceArray<uint32_t> out(32);
    EXPECT_EQ(run(read_words, {1, 32, 4096}, out.data(), stride), cudaSuccess) << last_fault();
    const std::vector<uint32_t> values = out.values();
    for (uint32_t i = 0; i < 32; ++i) EXPECT_EQ(values[i], i * stride);
    return counters();
  }
};

TEST_F(CudaMemory, CountsTheSectorsOfAWarp) {
  const Counters dense = copied<false>(1);
  EXPECT_EQ(dense.global_load_bytes, 512u);
  EXPECT_EQ(dense.global_store_bytes, 512u);
  EXPECT_EQ(dense.global_load_sectors, 16u);
  EXPECT_EQ(dense.global_load_sectors_least, 16u);
  const Counters sparse = copied<true>(2);
  EXPECT_EQ(sparse.global_load_sectors, 32u);
  EXPECT_EQ(sparse.global_load_sectors_least, 16u);
}

TEST_F(CudaMemory, CountsConflictsOfBanks) {
  EXPECT_EQ(read(1).shared_conflicts, 0u);
  EXPECT_EQ(read(2).shared_conflicts, 1u);
  EXPECT_EQ(read(8).shared_conflicts, 7u);
  EXPECT_EQ(read(31).shared_conflicts, 0u);
  EXPECT_EQ(read(0).shared_conflicts, 0u) << "all the same word";
  EXPECT_EQ(read(1).shared_accesses, 2u);
  EXPECT_EQ(copied<false>(1).shared_conflicts, 0u) << "16 bytes of a lane, 8 lanes at a time";
}

TEST_F(CudaMemory, CountsNothingUnlessAsked) {
  DeviceArray<Bytes16> from(counted(32)), to(32);
  EXPECT_EQ(run(copy<false>, {1, 32, 512}, to.data(), from.data(), 1u), cudaSuccess);
  EXPECT_EQ(counters().global_load_bytes, 0u);
  EXPECT_EQ(counters().shared_accesses, 0u);
}

TEST_F(CudaMemory, AtomicAddGivesEveryValueOnce) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    use({.seed = seed, .coresident_blocks = 2});
    DeviceArray<uint32_t> sum(std::vector<uint32_t>(1)), tickets(std::vector<uint32_t>(4 * 64));
    ASSERT_EQ(run(add_up, {4, 64}, sum.data(), tickets.data()), cudaSuccess);
    EXPECT_EQ(sum.values()[0], 4u * 64);
    EXPECT_THAT(tickets.values(), testing::Each(1u));
  }
}

HALFTONE_KERNEL void read_behind(uint8_t* values, int size) { values[0] = values[size]; }

TEST_F(CudaMemory, AddressSanitizerSeesPlainReadsBehindAnAllocation) {
  if (__asan_poison_memory_region == nullptr) GTEST_SKIP() << "only in a build with it";
  DeviceArray<uint8_t> values(13);
  EXPECT_EQ(run(read_behind, {1, 1}, values.data(), 12), cudaSuccess);
  EXPECT_DEATH(run(read_behind, {1, 1}, values.data(), 13), "use-after-poison");
}

TEST_F(CudaMemory, WrongAddressesAreFaults) {
  DeviceArray<Bytes16> from(counted(32)), to(32);
  const auto fault = [](Bytes16* to, const Bytes16* from, size_t shared_bytes) {
    EXPECT_EQ(run(copy<false>, {1, 32, shared_bytes}, to, from, 1u), cudaErrorLaunchFailure);
    const std::string text = last_fault();
    reset();
    return text;
  };
  EXPECT_THAT(fault(to.data() + 1, from.data(), 512), HasSubstr("outside of device memory"));
  EXPECT_THAT(fault(to.data(), from.data() + 1, 512), HasSubstr("outside of device memory"));
  EXPECT_THAT(fault(to.data(), from.data(), 496), HasSubstr("outside of the block's shared memory"));
  auto* between = reinterpret_cast<Bytes16*>(reinterpret_cast<char*>(from.data()) + 4);
  EXPECT_THAT(fault(to.data(), between, 512), HasSubstr("in device memory is not aligned to 16 bytes"));
}

}  // namespace
}  // namespace halftone::test
