// What the tensor cores do, for all lanes of a warp at once: the work of its meetings. Fragments as in the PTX manual,
// with group = lane / 4 and t = lane % 4.
#pragma once

#include <cstdint>

#include "kernels/cuda_host/call_site.h"

namespace halftone::cuda_host::machine {

// 8x8 matrices of 16-bit elements; lane 8m + r gives the address of row r of matrix m, 16 bytes. A lane's register m:
// elements [group][2 t] and, in the high half, [group][2 t + 1] of matrix m, or of its transpose.
struct LdmatrixOperand {
  uint32_t* registers;  // [matrices]
  const void* row;
};
void ldmatrix(LdmatrixOperand operand, int matrices, bool transposed, CallSite site);

// c[16][8] += a[16][K] b[K][8], K = 16 elements of 16 bits or 32 of 8. With n elements in a register:
//   a: registers 0, 2 hold row group, 1, 3 row group + 8; 0, 1 columns n t.., 2, 3 columns K/2 + n t..
//   b: register 0 rows n t.., 1 rows K/2 + n t..; both of column group
//   c: 0, 1 are [group][2 t], [group][2 t + 1]; 2, 3 the same of row group + 8
// Floats: products exact, added to c one by one in ascending k, each sum rounded to float32. The hardware adds several
// products at once and truncates: within the bound of any order of summation, not the same bits. Integers wrap.
template <typename Accumulator>
struct MmaOperand {
  Accumulator* c;     // [4]
  const uint32_t* a;  // [4]
  const uint32_t* b;  // [2]
};
void mma_bf16(MmaOperand<float> operand, CallSite site);
void mma_f16(MmaOperand<float> operand, CallSite site);
void mma_s8(MmaOperand<int32_t> operand, CallSite site);

}  // namespace halftone::cuda_host::machine
