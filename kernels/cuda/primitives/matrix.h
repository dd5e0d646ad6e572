// The tensor cores' instructions of one warp: all 32 lanes take part. sm_80. The fragments are drawn in
// kernels/cuda_host/matrix.h, which also says how its sums differ from the hardware's.
#pragma once

#include <cstdint>

#include "kernels/cuda/dialect.h"
#include "kernels/cuda/primitives/shared_address.h"

#ifndef __CUDACC__
#include "kernels/cuda_host/matrix.h"
#endif

namespace halftone::HALFTONE_CUDA_NAMESPACE {

#ifdef __CUDACC__

// For attention on tensor cores (kernels do not use them yet). Loads 2 or 4 matrices of 8 x 8 elements of 16 bits; lane
// 8m + r gives the address of row r of matrix m. A lane gets two neighbours of each. With _trans it gets those of the
// transpose.
HALFTONE_DEVICE void ldmatrix_x2(uint32_t* registers, const void* shared, CallSite = CallSite::here()) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(registers[0]), "=r"(registers[1])
               : "r"(shared_address(shared))
               : "memory");
}

HALFTONE_DEVICE void ldmatrix_x4(uint32_t* registers, const void* shared, CallSite = CallSite::here()) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
               : "r"(shared_address(shared))
               : "memory");
}

HALFTONE_DEVICE void ldmatrix_x4_trans(uint32_t* registers, const void* shared, CallSite = CallSite::here()) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
               : "r"(shared_address(shared))
               : "memory");
}

// c[16][8] += a[16][16] b[16][8].
HALFTONE_DEVICE void mma_bf16_16816(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                    CallSite = CallSite::here()) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

HALFTONE_DEVICE void mma_f16_16816(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                   CallSite = CallSite::here()) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// c[16][8] += a[16][32] b[32][8], exact (sums wrap).
HALFTONE_DEVICE void mma_s8_16832(int32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                  CallSite = CallSite::here()) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#else

HALFTONE_DEVICE void ldmatrix_x2(uint32_t* registers, const void* shared, CallSite site = CallSite::here()) {
  machine::ldmatrix({registers, shared}, 2, false, site);
}

HALFTONE_DEVICE void ldmatrix_x4(uint32_t* registers, const void* shared, CallSite site = CallSite::here()) {
  machine::ldmatrix({registers, shared}, 4, false, site);
}

HALFTONE_DEVICE void ldmatrix_x4_trans(uint32_t* registers, const void* shared, CallSite site = CallSite::here()) {
  machine::ldmatrix({registers, shared}, 4, true, site);
}

HALFTONE_DEVICE void mma_bf16_16816(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                    CallSite site = CallSite::here()) {
  machine::mma_bf16({c, a, b}, site);
}

HALFTONE_DEVICE void mma_f16_16816(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                   CallSite site = CallSite::here()) {
  machine::mma_f16({c, a, b}, site);
}

HALFTONE_DEVICE void mma_s8_16832(int32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                  CallSite site = CallSite::here()) {
  machine::mma_s8({c, a, b}, site);
}

#endif

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
