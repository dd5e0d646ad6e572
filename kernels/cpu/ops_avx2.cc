#include "kernels/cpu/ops_table.h"
#include "kernels/cpu/simd/avx2.h"

namespace halftone {

constinit const CpuOps kCpuOpsAvx2 = ops_table<Avx2, &KvFormat::load_keys_avx2, &KvFormat::load_values_avx2>();

}  // namespace halftone
