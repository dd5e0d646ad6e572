#include "kernels/cuda/primitives/matrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "kernels/contract/numbers.h"
#include "tests/kernels/cuda/primitives/fragments.h"
#include "tests/kernels/cuda_host/device_array.h"

namespace halftone::test {
namespace {

using namespace cuda_host;

constexpr int kM = 16, kN = 8;

// The registers of all lanes, [lane][registers], in which `fragment` puts the matrix.
template <typename T>
std::vector<uint32_t> registers_of(const std::vector<T>& matrix, int columns, int registers,
                                   Element (*fragment)(int, int)) {
  constexpr int kInRegister = 4 / sizeof(T);
  std::vector<uint32_t> words(32 * static_cast<size_t>(registers));
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < registers * kInRegister; ++i) {
      const Element at = fragment(lane, i);
      const auto bits = static_cast<std::make_unsigned_t<T>>(matrix[static_cast<size_t>(at.row * columns + at.column)]);
      words[static_cast<size_t>(lane * registers + i / kInRegister)] |= static_cast<uint32_t>(bits)
                                                                        << (i % kInRegister * 8 * sizeof(T));
    }
  }
  return words;
}

template <typename Accumulator>
using Mma = void (*)(Accumulator (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);

void bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { mma_bf16_16816(c, a, b); }
void f16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { mma_f16_16816(c, a, b); }
void s8(int32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { mma_s8_16832(c, a, b); }

template <typename Accumulator, Mma<Accumulator> kMma>
HALFTONE_KERNEL void multiply(Accumulator* c, const uint32_t* a, const uint32_t* b) {
  Accumulator sums[4];
  uint32_t left[4], right[2];
  for (unsigned i = 0; i < 4; ++i) {
    sums[i] = c[threadIdx.x * 4 + i];
    left[i] = a[threadIdx.x * 4 + i];
  }
  for (unsigned i = 0; i < 2; ++i) right[i] = b[threadIdx.x * 2 + i];
  kMma(sums, left, right);
  for (unsigned i = 0; i < 4; ++i) c[threadIdx.x * 4 + i] = sums[i];
}

class Matrix : public CudaHostTest {
 protected:
  std::mt19937 random_{11};

  template <typename T>
  std::vector<T> random_bits(size_t size) {
    std::vector<T> values(size);
    for (T& value : values) value = static_cast<T>(random_());
    return values;
  }
  std::vector<float> random_floats(size_t size, float scale) {
    std::vector<float> values(size);
    std::normal_distribution<float> normal(0, scale);
    for (float& value : values) value = normal(random_);
    return values;
  }

  // c[16][8] after the instruction.
  template <typename Accumulator, Mma<Accumulator> kMma>
  static std::vector<Accumulator> multiplied(const std::vector<Accumulator>& c, const std::vector<uint32_t>& a,
                                             const std::vector<uint32_t>& b) {
    std::vector<Accumulator> sums(32 * 4);
    for (int i = 0; i < 32 * 4; ++i) {
      const Element at = c32(i / 4, i % 4);
      sums[static_cast<size_t>(i)] = c[static_cast<size_t>(at.row * kN + at.column)];
    }
    DeviceArray<Accumulator> device(sums);
    DeviceArray<uint32_t> left(a), right(b);
    EXPECT_EQ(run(multiply<Accumulator, kMma>, {1, 32}, device.data(), left.data(), right.data()), cudaSuccess);
    std::vector<Accumulator> result(kM * kN);
    const std::vector<Accumulator> values = device.values();
    for (int i = 0; i < 32 * 4; ++i) {
      const Element at = c32(i / 4, i % 4);
      result[static_cast<size_t>(at.row * kN + at.column)] = values[static_cast<size_t>(i)];
    }
    return result;
  }

  // Floats: in the order promised, to the bit.
  template <Mma<float> kMma>
  void expect_sums_of(uint16_t (*narrow)(float), float (*wide)(uint16_t)) {
    constexpr int kK = 16;
    std::vector<uint16_t> a, b;
    for (float value : random_floats(kM * kK, 3)) a.push_back(narrow(value));
    for (float value : random_floats(kK * kN, 3)) b.push_back(narrow(value));
    const std::vector<float> c = random_floats(kM * kN, 100);
    const auto result = multiplied<float, kMma>(c, registers_of(a, kK, 4, a16), registers_of(b, kN, 2, b16));
    for (size_t m = 0; m < kM; ++m) {
      for (size_t n = 0; n < kN; ++n) {
        float sum = c[m * kN + n];
        for (size_t k = 0; k < kK; ++k) sum += wide(a[m * kK + k]) * wide(b[k * kN + n]);
        ASSERT_EQ(result[m * kN + n], sum) << m << ", " << n;
      }
    }
  }
};

TEST_F(Matrix, MmaOfBf16AddsExactProductsInOrder) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    use({.seed = seed});
    expect_sums_of<bf16>(bf16_from_f32, f32_from_bf16);
  }
}

TEST_F(Matrix, MmaOfF16AddsExactProductsInOrder) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    use({.seed = seed});
    expect_sums_of<f16>(f16_from_f32, f32_from_f16);
  }
}

TEST_F(Matrix, MmaOfS8IsExact) {
  constexpr int kK = 32;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    use({.seed = seed});
    const auto a = random_bits<int8_t>(kM * kK), b = random_bits<int8_t>(kK * kN);
    const auto c = random_bits<int32_t>(kM * kN);
    const auto result = multiplied<int32_t, s8>(c, registers_of(a, kK, 4, a8), registers_of(b, kN, 2, b8));
    for (size_t m = 0; m < kM; ++m) {
      for (size_t n = 0; n < kN; ++n) {
        int64_t sum = c[m * kN + n];
        for (size_t k = 0; k < kK; ++k) sum += a[m * kK + k] * b[k * kN + n];
        ASSERT_EQ(result[m * kN + n], static_cast<int32_t>(sum)) << m << ", " << n;
      }
    }
  }
}

TEST_F(Matrix, MmaKeepsInfinitiesAndNans) {
  std::vector<uint16_t> a(16 * 16), b(16 * 8, bf16_from_f32(1));
  a[0] = 0x7f80;       // infinity, in row 0
  a[16 + 3] = 0x7fc0;  // NaN, in row 1
  const auto result =
      multiplied<float, bf16>(std::vector<float>(kM * kN), registers_of(a, 16, 4, a16), registers_of(b, kN, 2, b16));
  for (size_t n = 0; n < kN; ++n) {
    EXPECT_EQ(result[n], std::numeric_limits<float>::infinity());
    EXPECT_TRUE(std::isnan(result[kN + n]));
    EXPECT_EQ(result[2 * kN + n], 0);
  }
}

using Load = void (*)(uint32_t* registers, const void* shared);

void x2(uint32_t* registers, const void* shared) { ldmatrix_x2(registers, shared); }
void x4(uint32_t* registers, const void* shared) { ldmatrix_x4(registers, shared); }
void x4_trans(uint32_t* registers, const void* shared) { ldmatrix_x4_trans(registers, shared); }

// out[lane][4]; the rows, 16 bytes each, lie at places[lane] of shared memory, and what no lane asks for is anywhere.
template <Load kLoad>
HALFTONE_KERNEL void load(uint32_t* out, const uint16_t* in, const int* places, int lanes) {
  uint16_t* shared = dynamic_shared<uint16_t>();
  for (unsigned i = threadIdx.x; i < 32 * 8; i += 32) shared[i] = in[i];
  __syncthreads();
  uint32_t registers[4] = {};
  const int lane = static_cast<int>(threadIdx.x);
  kLoad(registers, lane < lanes ? shared + places[lane] * 8 : nullptr);
  for (unsigned i = 0; i < 4; ++i) out[threadIdx.x * 4 + i] = registers[i];
}

class Ldmatrix : public Matrix {
 protected:
  template <Load kLoad>
  void expect(int matrices, bool transposed) {
    const auto in = random_bits<uint16_t>(32 * 8);
    std::vector<int> places(32);
    for (int lane = 0; lane < 32; ++lane) places[static_cast<size_t>(lane)] = (lane * 13 + 5) % 32;
    DeviceArray<uint16_t> device(in);
    DeviceArray<int> device_places(places);
    DeviceArray<uint32_t> out(32 * 4);
    ASSERT_EQ(run(load<kLoad>, {1, 32, 512}, out.data(), device.data(), device_places.data(), 8 * matrices),
              cudaSuccess)
        << last_fault();
    const std::vector<uint32_t> registers = out.values();
    for (int lane = 0; lane < 32; ++lane) {
      for (int matrix = 0; matrix < 4; ++matrix) {
        const auto element = [&](int row, int column) -> uint32_t {
          if (transposed) std::swap(row, column);
          return in[static_cast<size_t>(places[static_cast<size_t>(8 * matrix + row)] * 8 + column)];
        };
        const uint32_t right =
            matrix < matrices ? element(lane / 4, lane % 4 * 2) | element(lane / 4, lane % 4 * 2 + 1) << 16 : 0;
        ASSERT_EQ(registers[static_cast<size_t>(lane * 4 + matrix)], right) << "lane " << lane << ", matrix " << matrix;
      }
    }
  }
};

TEST_F(Ldmatrix, GivesEachLaneItsNeighbours) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    use({.seed = seed});
    expect<x2>(2, false);
    expect<x4>(4, false);
    expect<x4_trans>(4, true);
  }
}

}  // namespace
}  // namespace halftone::test
