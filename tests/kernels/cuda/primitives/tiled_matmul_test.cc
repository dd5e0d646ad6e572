#include "tests/kernels/cuda/primitives/tiled_matmul.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "kernels/contract/numbers.h"
#include "tests/kernels/cuda_host/device_array.h"

namespace halftone::test {
namespace {

using namespace cuda_host;

struct Matrices {
  int m, n, k;
  std::vector<uint16_t> a, b;
};

Matrices random_matrices(int m, int n, int k) {
  std::mt19937 random(static_cast<unsigned>(m * 31 + n * 7 + k));
  std::normal_distribution<float> normal;
  Matrices matrices{m, n, k, std::vector<uint16_t>(size_t(m) * size_t(k)),
                    std::vector<uint16_t>(size_t(n) * size_t(k))};
  for (uint16_t& value : matrices.a) value = bf16_from_f32(normal(random));
  for (uint16_t& value : matrices.b) value = bf16_from_f32(normal(random));
  return matrices;
}

// In the order that the host's mma promises: k ascending, each sum rounded. So the results are equal, to the bit.
std::vector<float> expected(const Matrices& matrices) {
  const auto m = size_t(matrices.m), n = size_t(matrices.n), k = size_t(matrices.k);
  std::vector<float> c(m * n);
  for (size_t row = 0; row < m; ++row) {
    for (size_t column = 0; column < n; ++column) {
      float sum = 0;
      for (size_t i = 0; i < k; ++i) {
        sum += f32_from_bf16(matrices.a[row * k + i]) * f32_from_bf16(matrices.b[column * k + i]);
      }
      c[row * n + column] = sum;
    }
  }
  return c;
}

struct Result {
  cudaError_t error;
  std::vector<float> c;
};

template <Mistake kMistake>
Result multiply(const Matrices& matrices, size_t shared_bytes = kMatmulSharedBytes) {
  DeviceArray<uint16_t> a(matrices.a), b(matrices.b);
  DeviceArray<float> c(size_t(matrices.m) * size_t(matrices.n));
  const MatmulCall call{a.data(), b.data(), c.data(), matrices.m, matrices.n, matrices.k};
  const auto blocks = [](int size) { return static_cast<unsigned>((size + kTile - 1) / kTile); };
  const LaunchShape shape{{blocks(matrices.m), blocks(matrices.n)}, kMatmulThreads, shared_bytes, nullptr};
  const cudaError_t error = run(tiled_matmul<kMistake>, shape, call);
  return {error, error == cudaSuccess ? c.values() : std::vector<float>()};
}

class TiledMatmul : public CudaHostTest {
 protected:
  // Whether the mistake is seen, in a wrong result or a fault, by any of the orders that tests run.
  template <Mistake kMistake>
  static bool seen(const Matrices& matrices, bool eager_copies) {
    const std::vector<float> right = expected(matrices);
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      use({.seed = seed, .eager_copies = eager_copies});
      const Result result = multiply<kMistake>(matrices);
      reset();
      if (result.error != cudaSuccess || result.c != right) return true;
    }
    return false;
  }
};

TEST_F(TiledMatmul, IsExactInEveryOrder) {
  for (const Matrices& matrices : {random_matrices(64, 64, 32), random_matrices(7, 65, 72), random_matrices(130, 3, 8),
                                   random_matrices(70, 100, 200)}) {
    const std::vector<float> right = expected(matrices);
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      for (bool eager : {false, true}) {
        use({.seed = seed, .eager_copies = eager, .coresident_blocks = 1 + static_cast<int>(seed % 3)});
        const Result result = multiply<Mistake::kNone>(matrices);
        ASSERT_EQ(result.error, cudaSuccess) << last_fault();
        ASSERT_EQ(result.c, right) << "seed " << seed;
      }
    }
  }
}

TEST_F(TiledMatmul, MistakesAreSeen) {
  const Matrices matrices = random_matrices(60, 64, 256);
  EXPECT_TRUE(seen<Mistake::kNoBarrier>(matrices, false));
  EXPECT_TRUE(seen<Mistake::kNoBarrier>(matrices, true));
  EXPECT_TRUE(seen<Mistake::kOneGroupTooFew>(matrices, false));
  EXPECT_TRUE(seen<Mistake::kOverwritesTooSoon>(matrices, true));
  EXPECT_TRUE(seen<Mistake::kSwizzlesOneSide>(matrices, false));
  EXPECT_TRUE(seen<Mistake::kReadsBeyondRows>(matrices, false));
  EXPECT_TRUE(seen<Mistake::kStopsInBarrier>(matrices, false));
  EXPECT_TRUE(seen<Mistake::kSwapsFragments>(matrices, false));
}

TEST_F(TiledMatmul, TooLittleSharedMemoryIsAFault) {
  EXPECT_EQ(multiply<Mistake::kNone>(random_matrices(64, 64, 96), kMatmulSharedBytes - 16).error,
            cudaErrorLaunchFailure);
  EXPECT_NE(last_fault().find("outside of the block's shared memory"), std::string::npos) << last_fault();
}

TEST_F(TiledMatmul, ReadsSharedMemoryWithoutConflicts) {
  use({.counters = true});
  const Matrices matrices = random_matrices(64, 64, 64);
  ASSERT_EQ(multiply<Mistake::kNone>(matrices).error, cudaSuccess);
  const Counters right = counters();
  EXPECT_EQ(right.ldmatrix_conflicts, 0u);
  EXPECT_EQ(right.mma_bf16, 64u * 64 * 64 / (16 * 8 * 16));
  EXPECT_EQ(right.ldmatrix, 4u * 4 * (2 + 4));  // of each warp and 16 of k
  EXPECT_EQ(right.async_copy_bytes, 2u * 64 * 64 * sizeof(uint16_t));
  reset_counters();
  ASSERT_EQ(multiply<Mistake::kSwizzlesOneSide>(matrices).error, cudaSuccess);
  EXPECT_GT(counters().ldmatrix_conflicts, 0u);
}

// Of the processor's time: what else runs on the machine does not count.
TEST_F(TiledMatmul, PrintsItsSpeed) {
  const Matrices matrices = random_matrices(256, 256, 512);
  for (uint64_t seed : {0, 1}) {
    use({.seed = seed});
    const std::clock_t begin = std::clock();
    ASSERT_EQ(multiply<Mistake::kNone>(matrices).error, cudaSuccess);
    const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    std::printf("seed %d: %.0f million multiply-adds a second\n", static_cast<int>(seed),
                256. * 256 * 512 / seconds / 1e6);
  }
}

}  // namespace
}  // namespace halftone::test
