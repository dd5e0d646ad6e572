// The CPU as a device: float32 activations, its own threads, the best instruction set that the machine has. *Ordered*
// throughout: results do not depend on batch, chunking, threads or instruction set (docs/NUMERICS.md).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/contract/device.h"
#include "kernels/cpu/linear.h"

namespace halftone {

struct CpuBody;

struct CpuOptions {
  int threads = 0;  // 0: one for each processor that this process may use
  std::string isa;  // "avx512vnni", "avx2", "emulated"; "": the best that runs here
};

// Instruction sets that run on this machine, best first.
std::vector<CpuIsa> cpu_isas();
int cpu_threads();  // as many as the system lets this process use at once

// Null: options.isa is not one of those that run here.
std::unique_ptr<Device> make_cpu_device(const CpuOptions& options, Ledger& ledger);
// On a body of the caller's own (tests).
std::unique_ptr<Device> make_cpu_device(int threads, const CpuBody& body, Ledger& ledger);

}  // namespace halftone
