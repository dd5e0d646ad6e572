#include "kernels/cuda/primitives/copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <vector>

#include "kernels/cuda/primitives/barriers.h"
#include "tests/kernels/cuda_host/device_array.h"

namespace halftone::test {
namespace {

using namespace cuda_host;
using testing::Each;
using testing::HasSubstr;

constexpr uint32_t kPoisoned = 0xa5a5a5a5u;
constexpr size_t kThreads = 64, kWords = 4;  // of a copy

enum class Wait { kForIt, kForTheOneBefore, kNot };

// Each thread copies two pieces of 16 bytes, in a group each, and gives out the second.
template <Wait kWait>
HALFTONE_KERNEL void copy_two(uint32_t* out, const uint32_t* in) {
  uint32_t* mine = dynamic_shared<uint32_t>() + threadIdx.x * 2 * kWords;
  const uint32_t* from = in + threadIdx.x * 2 * kWords;
  for (size_t piece = 0; piece < 2; ++piece) {
    cp_async_16(mine + piece * kWords, from + piece * kWords);
    cp_async_commit();
  }
  if (kWait == Wait::kForIt) cp_async_wait<0>();
  if (kWait == Wait::kForTheOneBefore) cp_async_wait<1>();
  for (size_t i = 0; i < 2 * kWords; ++i) out[threadIdx.x * 2 * kWords + i] = mine[i];
}

// What a thread copied, another reads: after the wait there must be a barrier.
template <bool kBarrier>
HALFTONE_KERNEL void copy_for_others(uint32_t* out, const uint32_t* in) {
  uint32_t* shared = dynamic_shared<uint32_t>();
  cp_async_16(shared + threadIdx.x * kWords, in + threadIdx.x * kWords);
  cp_async_commit();
  cp_async_wait<0>();
  if (kBarrier) block_barrier();
  out[threadIdx.x] = shared[(threadIdx.x + 1) % kThreads * kWords];
}

HALFTONE_KERNEL void copy_first_half(uint32_t* out, const uint32_t* in) {
  uint32_t* shared = dynamic_shared<uint32_t>();
  const bool valid = threadIdx.x < kThreads / 2;
  cp_async_16(shared + threadIdx.x * kWords, valid ? in + threadIdx.x * kWords : nullptr, valid);
  cp_async_commit();
  cp_async_wait<0>();
  for (size_t i = 0; i < kWords; ++i) out[threadIdx.x * kWords + i] = shared[threadIdx.x * kWords + i];
}

HALFTONE_KERNEL void copy_from(const uint32_t* in, int shared_offset) {
  cp_async_16(dynamic_shared<char>() + shared_offset, in);
}

class Copy : public CudaHostTest {
 protected:
  static std::vector<uint32_t> counted(size_t size) {
    std::vector<uint32_t> values(size);
    std::iota(values.begin(), values.end(), 1u);
    return values;
  }

  static std::vector<uint32_t> copied(void (*kernel)(uint32_t*, const uint32_t*), size_t words) {
    DeviceArray<uint32_t> in(counted(words)), out(words);
    const LaunchShape shape{1, kThreads, words * sizeof(uint32_t), nullptr};
    EXPECT_EQ(run(kernel, shape, out.data(), in.data()), cudaSuccess) << last_fault();
    return out.values();
  }
};

TEST_F(Copy, IsThereAfterTheWait) {
  for (bool eager : {false, true}) {
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      use({.seed = seed, .eager_copies = eager});
      const size_t words = kThreads * 2 * kWords;
      EXPECT_EQ(copied(copy_two<Wait::kForIt>, words), counted(words));
    }
  }
}

TEST_F(Copy, IsNotThereBefore) {
  const size_t words = kThreads * 2 * kWords;
  std::vector<uint32_t> first_only = counted(words);
  for (size_t i = 0; i < words; ++i) {
    if (i / kWords % 2 == 1) first_only[i] = kPoisoned;
  }
  EXPECT_EQ(copied(copy_two<Wait::kForTheOneBefore>, words), first_only);
  EXPECT_THAT(copied(copy_two<Wait::kNot>, words), Each(kPoisoned));
  use({.eager_copies = true});
  EXPECT_EQ(copied(copy_two<Wait::kNot>, words), counted(words));
}

TEST_F(Copy, IsThereForOthersAfterABarrier) {
  std::vector<uint32_t> right(kThreads);
  for (size_t i = 0; i < kThreads; ++i) right[i] = static_cast<uint32_t>((i + 1) % kThreads * kWords + 1);
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    use({.seed = seed});
    std::vector<uint32_t> with = copied(copy_for_others<true>, kThreads * kWords);
    std::vector<uint32_t> without = copied(copy_for_others<false>, kThreads * kWords);
    with.resize(kThreads);
    without.resize(kThreads);
    EXPECT_EQ(with, right);
    EXPECT_NE(without, right);
  }
}

TEST_F(Copy, WritesZerosWhereNotValid) {
  std::vector<uint32_t> right = counted(kThreads * kWords);
  std::fill(right.begin() + kThreads * kWords / 2, right.end(), 0u);
  for (bool eager : {false, true}) {
    use({.eager_copies = eager});
    EXPECT_EQ(copied(copy_first_half, kThreads * kWords), right);
  }
}

TEST_F(Copy, WrongAddressesAreFaults) {
  DeviceArray<uint32_t> in(kWords);
  const std::vector<uint32_t> host(kWords);
  const auto fault = [](const uint32_t* from, int shared_offset) {
    EXPECT_EQ(run(copy_from, {1, 1, 64}, from, shared_offset), cudaErrorLaunchFailure);
    const std::string text = last_fault();
    reset();
    return text;
  };
  EXPECT_EQ(run(copy_from, {1, 1, 64}, in.data(), 48), cudaSuccess);
  EXPECT_THAT(fault(in.data(), 56), HasSubstr("outside of the block's shared memory"));
  EXPECT_THAT(fault(in.data(), 8), HasSubstr("in shared memory is not aligned to 16 bytes"));
  EXPECT_THAT(fault(host.data(), 0), HasSubstr("outside of device memory"));
  EXPECT_THAT(fault(in.data() + 1, 0), HasSubstr("outside of device memory"));
}

}  // namespace
}  // namespace halftone::test
