// What the CPU device runs on: the loops of one instruction set and, for each weight format, its kernels.
#pragma once

#include <string_view>

#include "kernels/cpu/cpu_ops.h"

namespace halftone {

struct CpuBody {
  std::string_view name;  // "avx2"
  CpuOps ops;
  // Null: the format has no kernels here.
  const CpuLinearKernels* (*kernels)(const WeightFormat& format) = nullptr;
};

}  // namespace halftone
