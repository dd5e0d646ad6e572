#include "kernels/cpu/ops_table.h"
#include "kernels/cpu/simd/avx512vnni.h"

namespace halftone {

constinit const CpuOps kCpuOpsAvx512Vnni =
    ops_table<Avx512Vnni, &KvFormat::load_keys_avx2, &KvFormat::load_values_avx2>();

}  // namespace halftone
