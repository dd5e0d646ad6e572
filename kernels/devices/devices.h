// Devices by name: what --device says. Any thread.
#pragma once

#include <memory>
#include <string>

#include "kernels/contract/device.h"
#include "kernels/cpu/cpu_device.h"

namespace halftone {

struct DeviceOptions {
  CpuOptions cpu;
};

struct MadeDevice {
  std::unique_ptr<Device> device;  // null: there is none, and
  std::string why;                 // one line says what is missing
};

// name: "cpu" or "cuda:N"; in some binaries "cuda:host" (cuda_on_host.h).
MadeDevice make_device(const std::string& name, const DeviceOptions& options, Ledger& ledger);

}  // namespace halftone
