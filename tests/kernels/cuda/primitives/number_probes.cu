#include "kernels/contract/exp.h"
#include "kernels/cuda/primitives/numbers.h"
#include "tests/kernels/cuda/primitives/probe_kernel.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

HALFTONE_DEVICE uint32_t word(float value) { return same_nan(bits_from_f32(value)); }
HALFTONE_DEVICE uint16_t half_of(uint32_t pair, int i) { return static_cast<uint16_t>(pair >> (16 * i)); }
HALFTONE_DEVICE uint32_t same_bf16_nan(uint32_t bits) { return (bits & 0x7fffu) > 0x7f80u ? 0x7fc0u : bits; }
HALFTONE_DEVICE uint32_t same_f16_nan(uint32_t bits) { return (bits & 0x7fffu) > 0x7c00u ? 0x7e00u : bits; }
HALFTONE_DEVICE uint32_t bf16_pair(uint32_t pair) {
  return same_bf16_nan(pair & 0xffffu) | same_bf16_nan(pair >> 16) << 16;
}
HALFTONE_DEVICE uint32_t f16_pair(uint32_t pair) {
  return same_f16_nan(pair & 0xffffu) | same_f16_nan(pair >> 16) << 16;
}

struct F32FromBf16 {
  static constexpr unsigned kIn = 1, kOut = 2;
  HALFTONE_DEVICE static void run(uint32_t* out, const uint32_t* in) {
    for (int i = 0; i < 2; ++i) out[i] = word(f32_from_bf16(half_of(in[0], i)));
  }
};

struct F32FromF16 {
  static constexpr unsigned kIn = 1, kOut = 2;
  HALFTONE_DEVICE static void run(uint32_t* out, const uint32_t* in) {
    for (int i = 0; i < 2; ++i) out[i] = word(f32_from_f16(half_of(in[0], i)));
  }
};

struct Bf16FromF32 {
  static constexpr unsigned kIn = 1, kOut = 1;
  HALFTONE_DEVICE static void run(uint32_t* out, const uint32_t* in) {
    out[0] = same_bf16_nan(bf16_from_f32(f32_from_bits(in[0])));
  }
};

struct F16FromF32 {
  static constexpr unsigned kIn = 1, kOut = 1;
  HALFTONE_DEVICE static void run(uint32_t* out, const uint32_t* in) {
    out[0] = same_f16_nan(f16_from_f32(f32_from_bits(in[0])));
  }
};

struct Bf16x2FromF32 {
  static constexpr unsigned kIn = 2, kOut = 1;
  HALFTONE_DEVICE static void run(uint32_t* out, const uint32_t* in) {
    out[0] = bf16_pair(bf16x2_from_f32(f32_from_bits(in[0]), f32_from_bits(in[1])));
  }
};

struct F16x2FromF32 {
  static constexpr unsigned kIn = 2, kOut = 1;
  HALFTONE_DEVICE static void run(uint32_t* out, const uint32_t* in) {
    out[0] = f16_pair(f16x2_from_f32(f32_from_bits(in[0]), f32_from_bits(in[1])));
  }
};

// The operators of C++ as the compilers are told to take them: nothing contracted, nothing flushed, division rounded.
struct F32Operators {
  static constexpr unsigned kIn = 3, kOut = 4;
  HALFTONE_DEVICE static void run(uint32_t* out, const uint32_t* in) {
    const float a = f32_from_bits(in[0]), b = f32_from_bits(in[1]), c = f32_from_bits(in[2]);
    out[0] = word(a + b);
    out[1] = word(a * b);
    out[2] = word(a / b);
    out[3] = word(a * b + c);
  }
};

struct F32Fma {
  static constexpr unsigned kIn = 3, kOut = 1;
  HALFTONE_DEVICE static void run(uint32_t* out, const uint32_t* in) {
    const float a = f32_from_bits(in[0]), b = f32_from_bits(in[1]), c = f32_from_bits(in[2]);
    out[0] = word(HALFTONE_CUDA_NAMESPACE::fma(a, b, c));
  }
};

struct SquareRoot {
  static constexpr unsigned kIn = 1, kOut = 1;
  HALFTONE_DEVICE static void run(uint32_t* out, const uint32_t* in) {
    out[0] = word(square_root(f32_from_bits(in[0])));
  }
};

struct Bf16x2Fma {
  static constexpr unsigned kIn = 3, kOut = 1;
  HALFTONE_DEVICE static void run(uint32_t* out, const uint32_t* in) {
    out[0] = bf16_pair(bf16x2_fma(in[0], in[1], in[2]));
  }
};

struct ExpOrdered {
  static constexpr unsigned kIn = 1, kOut = 1;
  HALFTONE_DEVICE static void run(uint32_t* out, const uint32_t* in) {
    out[0] = word(exp_ordered<ExpOps>(f32_from_bits(in[0])));
  }
};

struct SiluOrdered {
  static constexpr unsigned kIn = 1, kOut = 1;
  HALFTONE_DEVICE static void run(uint32_t* out, const uint32_t* in) {
    out[0] = word(silu_ordered<ExpOps>(f32_from_bits(in[0])));
  }
};

template <typename Operation>
HALFTONE_KERNEL void each(uint32_t* out, const uint32_t* in) {
  Operation::run(out + probe_thread() * Operation::kOut, in + probe_thread() * Operation::kIn);
}

template <typename Operation>
ProbeKernel of_each(const char* name) {
  return {name, each<Operation>, 128, Operation::kIn, Operation::kOut};
}

}  // namespace

std::vector<ProbeKernel> number_probes() {
  return {of_each<F32FromBf16>("f32_from_bf16"),     of_each<F32FromF16>("f32_from_f16"),
          of_each<Bf16FromF32>("bf16_from_f32"),     of_each<F16FromF32>("f16_from_f32"),
          of_each<Bf16x2FromF32>("bf16x2_from_f32"), of_each<F16x2FromF32>("f16x2_from_f32"),
          of_each<F32Operators>("f32_operators"),    of_each<F32Fma>("f32_fma"),
          of_each<SquareRoot>("square_root"),        of_each<Bf16x2Fma>("bf16x2_fma"),
          of_each<ExpOrdered>("exp_ordered"),        of_each<SiluOrdered>("silu_ordered")};
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
