// The device's ledger beside what the process really holds: what /metrics and GetMemory show. Any thread.
#pragma once

#include <memory>

#include "kernels/contract/device.h"
#include "server/metrics/metrics.h"
#include "server/source/model_source.h"
#include "system/system.h"

namespace halftone {

// files: the weight files that are still mapped, or null.
MemorySample memory_account(Device& device, const SourceFiles* files, const System& system = System());

}  // namespace halftone
