#include "kernels/cuda_host/matrix.h"

#include <array>
#include <cstring>

#include "kernels/contract/numbers.h"
#include "kernels/cuda_host/machine.h"

namespace halftone::cuda_host::machine {

namespace {

constexpr int kRows = 8, kRowBytes = 16;  // of a matrix that ldmatrix loads
constexpr int kM = 16, kN = 8;            // of an mma

template <typename Operand>
const Operand& of(void* const* operands, int lane) {
  return *static_cast<const Operand*>(operands[lane]);
}

void count_conflicts(void* const* operands, int matrices) {
  Machine& machine = Machine::instance();
  if (!machine.settings.counters) return;
  for (int matrix = 0; matrix < matrices; ++matrix) {
    std::array<uintptr_t, kRows> rows;
    for (size_t row = 0; row < kRows; ++row) {
      const int lane = matrix * kRows + static_cast<int>(row);
      rows[row] = reinterpret_cast<uintptr_t>(of<LdmatrixOperand>(operands, lane).row);
    }
    machine.counters.ldmatrix_conflicts += static_cast<uint64_t>(shared_passes(rows, kRowBytes) - 1);
  }
}

template <int kMatrices, bool kTransposed>
void ldmatrix_of_warp(void* const* operands) {
  count_conflicts(operands, kMatrices);
  for (int matrix = 0; matrix < kMatrices; ++matrix) {
    uint16_t elements[kRows][8];
    for (int row = 0; row < kRows; ++row) {
      std::memcpy(elements[row], of<LdmatrixOperand>(operands, matrix * kRows + row).row, kRowBytes);
    }
    for (int lane = 0; lane < kLanes; ++lane) {
      const int group = lane / 4, first = lane % 4 * 2;
      const uint16_t low = kTransposed ? elements[first][group] : elements[group][first];
      const uint16_t high = kTransposed ? elements[first + 1][group] : elements[group][first + 1];
      of<LdmatrixOperand>(operands, lane).registers[matrix] = low | static_cast<uint32_t>(high) << 16;
    }
  }
}

MeetingWork ldmatrix_work(int matrices, bool transposed) {
  switch (matrices) {
    case 1:
      return transposed ? ldmatrix_of_warp<1, true> : ldmatrix_of_warp<1, false>;
    case 2:
      return transposed ? ldmatrix_of_warp<2, true> : ldmatrix_of_warp<2, false>;
    default:
      return transposed ? ldmatrix_of_warp<4, true> : ldmatrix_of_warp<4, false>;
  }
}

// Element i of a register, as what it is multiplied as.
struct Bf16 {
  using Accumulator = float;
  using Factor = float;
  typedef float Four __attribute__((vector_size(16)));
  static constexpr int kInRegister = 2;
  static float factor(uint32_t bits, int i) { return f32_from_bf16(static_cast<uint16_t>(bits >> (16 * i))); }
};

struct F16 : Bf16 {
  static float factor(uint32_t bits, int i) { return f32_from_f16(static_cast<uint16_t>(bits >> (16 * i))); }
};

struct S8 {
  using Accumulator = int32_t;
  using Factor = uint32_t;  // which may wrap
  typedef uint32_t Four __attribute__((vector_size(16)));
  static constexpr int kInRegister = 4;
  static uint32_t factor(uint32_t bits, int i) { return static_cast<uint32_t>(static_cast<int8_t>(bits >> (8 * i))); }
};

template <typename Number>
struct Tiles {
  static constexpr int kK = 8 * Number::kInRegister;
  using Factor = typename Number::Factor;
  using Four = typename Number::Four;  // as wide as every processor's registers: wider ones would live in memory

  Factor a[kM][kK];
  Four b[kK][kN / 4];
  Four c[kM][kN / 4];
};

template <typename Number>
void gather(void* const* operands, Tiles<Number>& tiles) {
  constexpr int kInRegister = Number::kInRegister, kHalf = Tiles<Number>::kK / 2;
  for (int lane = 0; lane < kLanes; ++lane) {
    const auto& operand = of<MmaOperand<typename Number::Accumulator>>(operands, lane);
    const int group = lane / 4, in_group = lane % 4;
    for (int i = 0; i < kInRegister; ++i) {
      const int k = kInRegister * in_group + i;
      tiles.a[group][k] = Number::factor(operand.a[0], i);
      tiles.a[group + 8][k] = Number::factor(operand.a[1], i);
      tiles.a[group][kHalf + k] = Number::factor(operand.a[2], i);
      tiles.a[group + 8][kHalf + k] = Number::factor(operand.a[3], i);
      tiles.b[k][group / 4][group % 4] = Number::factor(operand.b[0], i);
      tiles.b[kHalf + k][group / 4][group % 4] = Number::factor(operand.b[1], i);
    }
    for (int i = 0; i < 4; ++i) {
      const int n = 2 * in_group + i % 2;
      tiles.c[group + i / 2 * 8][n / 4][n % 4] = static_cast<typename Number::Factor>(operand.c[i]);
    }
  }
}

template <typename Number>
void mma_of_warp(void* const* operands) {
  Tiles<Number> tiles;
  gather(operands, tiles);
  for (int m = 0; m < kM; ++m) {
    typename Number::Four low = tiles.c[m][0], high = tiles.c[m][1];
    for (int k = 0; k < Tiles<Number>::kK; ++k) {
      low += tiles.a[m][k] * tiles.b[k][0];
      high += tiles.a[m][k] * tiles.b[k][1];
    }
    tiles.c[m][0] = low;
    tiles.c[m][1] = high;
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    const auto& operand = of<MmaOperand<typename Number::Accumulator>>(operands, lane);
    for (int i = 0; i < 4; ++i) {
      const int m = lane / 4 + i / 2 * 8, n = lane % 4 * 2 + i % 2;
      operand.c[i] = static_cast<typename Number::Accumulator>(tiles.c[m][n / 4][n % 4]);
    }
  }
}

}  // namespace

void ldmatrix(LdmatrixOperand operand, int matrices, bool transposed, CallSite site) {
  if (lane() < matrices * kRows) expect_shared(operand.row, kRowBytes, site);
  meet(Meeting::kLdmatrix, &operand, ldmatrix_work(matrices, transposed), site);
}

void mma_bf16(MmaOperand<float> operand, CallSite site) { meet(Meeting::kMmaBf16, &operand, mma_of_warp<Bf16>, site); }

void mma_f16(MmaOperand<float> operand, CallSite site) { meet(Meeting::kMmaF16, &operand, mma_of_warp<F16>, site); }

void mma_s8(MmaOperand<int32_t> operand, CallSite site) { meet(Meeting::kMmaS8, &operand, mma_of_warp<S8>, site); }

}  // namespace halftone::cuda_host::machine
