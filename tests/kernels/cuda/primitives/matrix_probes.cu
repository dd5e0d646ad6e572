#include "kernels/cuda/primitives/barriers.h"
#include "kernels/cuda/primitives/matrix.h"
#include "kernels/cuda/primitives/numbers.h"
#include "tests/kernels/cuda/primitives/probe_kernel.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr unsigned kThreads = 32, kRegisters = 4;

template <bool kTransposed, int kMatrices>
HALFTONE_DEVICE void load_matrices(uint32_t* registers, const uint32_t* row) {
  if constexpr (kTransposed) {
    ldmatrix_x4_trans(registers, row);
  } else {
    if constexpr (kMatrices == 2) ldmatrix_x2(registers, row);
    if constexpr (kMatrices == 4) ldmatrix_x4(registers, row);
  }
}

// in: a row of 16 bytes, and which lane's row this lane gives the address of. Registers that are not loaded stay.
template <bool kTransposed, int kMatrices>
HALFTONE_KERNEL void ldmatrix(uint32_t* out, const uint32_t* in) {
  constexpr unsigned kIn = kRegisters + 1;
  uint32_t* rows = dynamic_shared<uint32_t>();
  const uint32_t* mine = in + probe_thread() * kIn;
  for (unsigned i = 0; i < kRegisters; ++i) rows[threadIdx.x * kRegisters + i] = mine[i];
  block_barrier();
  uint32_t registers[kRegisters] = {1, 2, 3, 4};
  load_matrices<kTransposed, kMatrices>(registers, rows + mine[kRegisters] % kThreads * kRegisters);
  for (unsigned i = 0; i < kRegisters; ++i) out[probe_thread() * kRegisters + i] = registers[i];
}

struct Bf16 {
  using Sum = float;
  HALFTONE_DEVICE static float sum(uint32_t bits) { return f32_from_bits(bits); }
  HALFTONE_DEVICE static uint32_t word(float sum) { return same_nan(bits_from_f32(sum)); }
  HALFTONE_DEVICE static void run(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    mma_bf16_16816(c, a, b);
  }
};

struct F16 : Bf16 {
  HALFTONE_DEVICE static void run(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    mma_f16_16816(c, a, b);
  }
};

struct S8 {
  using Sum = int32_t;
  HALFTONE_DEVICE static int32_t sum(uint32_t bits) { return static_cast<int32_t>(bits); }
  HALFTONE_DEVICE static uint32_t word(int32_t sum) { return static_cast<uint32_t>(sum); }
  HALFTONE_DEVICE static void run(int32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    mma_s8_16832(c, a, b);
  }
};

// in: the fragments c[4], a[4], b[2]
template <typename Number>
HALFTONE_KERNEL void mma(uint32_t* out, const uint32_t* in) {
  const uint32_t* mine = in + probe_thread() * 10;
  typename Number::Sum c[4];
  for (int i = 0; i < 4; ++i) c[i] = Number::sum(mine[i]);
  const uint32_t a[4] = {mine[4], mine[5], mine[6], mine[7]}, b[2] = {mine[8], mine[9]};
  Number::run(c, a, b);
  for (int i = 0; i < 4; ++i) out[probe_thread() * 4 + static_cast<unsigned>(i)] = Number::word(c[i]);
}

template <bool kTransposed, int kMatrices>
ProbeKernel loads(const char* name) {
  constexpr size_t kRowBytes = 16;
  return {name, ldmatrix<kTransposed, kMatrices>, kThreads, kRegisters + 1, kRegisters, kThreads * kRowBytes};
}

}  // namespace

std::vector<ProbeKernel> matrix_probes() {
  return {loads<false, 2>("ldmatrix_x2"),         loads<false, 4>("ldmatrix_x4"),
          loads<true, 4>("ldmatrix_x4_trans"),    {"mma_bf16", mma<Bf16>, kThreads, 10, 4},
          {"mma_f16", mma<F16>, kThreads, 10, 4}, {"mma_s8", mma<S8>, kThreads, 10, 4}};
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
