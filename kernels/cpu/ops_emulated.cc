#include "kernels/cpu/ops_table.h"
#include "kernels/cpu/simd/emulated.h"

namespace halftone {

constinit const CpuOps kCpuOpsEmulated = ops_table<Emulated, &KvFormat::load_keys, &KvFormat::load_values>();

}  // namespace halftone
