// The device's ledger beside what the process really holds: what /metrics and GetMemory show. Any thread.
#pragma once

#include "kernels/contract/device.h"
#include "server/metrics/metrics.h"
#include "system/system.h"

namespace halftone {

MemorySample memory_account(Device& device, const System& system);

}  // namespace halftone
