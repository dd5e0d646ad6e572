#include "kernels/cuda/primitives/warp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "tests/kernels/cuda_host/device_array.h"

namespace halftone::test {
namespace {

using namespace cuda_host;

constexpr int kThreads = 96;

// A warp operation, with the value of each thread.
template <typename T>
using Operation = T (*)(T value);

template <typename T, Operation<T> kOperation>
HALFTONE_KERNEL void apply(T* out, const T* in) {
  out[threadIdx.x] = kOperation(in[threadIdx.x]);
}

class Warp : public CudaHostTest {
 protected:
  template <typename T, Operation<T> kOperation>
  static std::vector<T> applied(const std::vector<T>& values) {
    DeviceArray<T> in(values), out(values.size());
    EXPECT_EQ(run(apply<T, kOperation>, {1, kThreads}, out.data(), static_cast<const T*>(in.data())), cudaSuccess)
        << last_fault();
    return out.values();
  }

  // expected(lane, that warp's values)
  template <typename T, Operation<T> kOperation, typename Expected>
  static void expect(Expected expected) {
    std::mt19937 random(7);
    std::vector<T> values(kThreads);
    for (T& value : values) value = static_cast<T>(static_cast<int32_t>(random()) / 1000);
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      use({.seed = seed});
      const std::vector<T> results = applied<T, kOperation>(values);
      for (int i = 0; i < kThreads; ++i) {
        const T* warp = values.data() + i / 32 * 32;
        ASSERT_EQ(results[static_cast<size_t>(i)], expected(i % 32, warp)) << "thread " << i << ", seed " << seed;
      }
    }
  }
};

int32_t add_lane(int32_t value) { return value + lane_index(); }
template <typename T>
T partner(T value) {
  return shuffle_xor(value, 5);
}
template <typename T>
T down(T value) {
  return shuffle_down(value, 3);
}
template <typename T>
T from_ninth(T value) {
  return shuffle_index(value, 9);
}
template <typename T>
T from_reversed(T value) {
  return shuffle_index(value, 31 - lane_index());
}

TEST_F(Warp, KnowsItsLanes) {
  expect<int32_t, add_lane>([](int lane, const int32_t* warp) { return warp[lane] + lane; });
}

TEST_F(Warp, ShufflesFloatsAndIntegers) {
  expect<float, partner<float>>([](int lane, const float* warp) { return warp[lane ^ 5]; });
  expect<int32_t, partner<int32_t>>([](int lane, const int32_t* warp) { return warp[lane ^ 5]; });
  expect<uint32_t, partner<uint32_t>>([](int lane, const uint32_t* warp) { return warp[lane ^ 5]; });
  expect<float, down<float>>([](int lane, const float* warp) { return warp[lane + 3 < 32 ? lane + 3 : lane]; });
  expect<int32_t, from_ninth<int32_t>>([](int, const int32_t* warp) { return warp[9]; });
  expect<float, from_reversed<float>>([](int lane, const float* warp) { return warp[31 - lane]; });
}

uint32_t votes(uint32_t value) { return ballot(value % 3 == 0); }
// One lane makes "any" true and "all" false; no lane and every lane are the other two.
uint32_t any_and_all(uint32_t) {
  const int lane = lane_index();
  return static_cast<uint32_t>(any(lane == 17)) | static_cast<uint32_t>(all(lane != 17)) << 1 |
         static_cast<uint32_t>(any(lane > 31)) << 2 | static_cast<uint32_t>(all(lane >= 0)) << 3;
}

TEST_F(Warp, Votes) {
  expect<uint32_t, votes>([](int, const uint32_t* warp) {
    uint32_t bits = 0;
    for (int lane = 0; lane < 32; ++lane) bits |= static_cast<uint32_t>(warp[lane] % 3 == 0) << lane;
    return bits;
  });
  expect<uint32_t, any_and_all>([](int, const uint32_t*) { return 0b1001u; });
}

float sum_of_floats(float value) { return reduce_sum(value); }
int32_t sum_of_integers(int32_t value) { return reduce_sum(value); }
float greatest_float(float value) { return reduce_max(value); }
int32_t greatest_integer(int32_t value) { return reduce_max(value); }

// Halves are added to halves: what is 16, 8, 4, 2 and 1 apart.
float tree_sum(const float* warp) {
  std::vector<float> values(warp, warp + 32);
  for (size_t half = 16; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) values[i] += values[i + half];
  }
  return values[0];
}

TEST_F(Warp, ReducesInOneFixedOrder) {
  expect<float, sum_of_floats>([](int, const float* warp) { return tree_sum(warp); });
  expect<int32_t, sum_of_integers>([](int, const int32_t* warp) {
    int32_t sum = 0;
    for (int lane = 0; lane < 32; ++lane) sum += warp[lane];
    return sum;
  });
  expect<float, greatest_float>([](int, const float* warp) { return *std::max_element(warp, warp + 32); });
  expect<int32_t, greatest_integer>([](int, const int32_t* warp) { return *std::max_element(warp, warp + 32); });
}

TEST_F(Warp, OperationsAreCounted) {
  use({.counters = true});
  applied<float, sum_of_floats>(std::vector<float>(kThreads));
  EXPECT_EQ(counters().shuffles, 5u * kThreads / 32);
  applied<uint32_t, votes>(std::vector<uint32_t>(kThreads));
  EXPECT_EQ(counters().votes, 1u * kThreads / 32);
}

}  // namespace
}  // namespace halftone::test
