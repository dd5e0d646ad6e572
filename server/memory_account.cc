#include "server/memory_account.h"

#include <string>

#include "system/files.h"

namespace halftone {
namespace {

// Of this process: heap, arenas, stacks.
uint64_t anonymous_resident_bytes() {
  const std::string status = read_text("/proc/self/status");
  return named_number(status, "RssAnon:").value_or(0) * 1024;
}

}  // namespace

MemorySample memory_account(Device& device, const System& system) {
  MemorySample sample;
  std::string name(device.name());
  uint64_t accounted = 0;
  for (const MemoryEntry& entry : device.ledger().entries()) {
    MemorySample::Entry out{name, entry.tag.owner, memory_category_name(entry.tag.category), entry.bytes, {}};
    for (int stage = 0; stage < kMemoryStages; ++stage)
      out.peak_bytes[stage] = entry.peak_bytes[static_cast<size_t>(stage)];
    sample.entries.push_back(std::move(out));
    accounted += entry.bytes;
  }
  const OwnMemory own = device.own_memory();
  MemorySample::Device total{name, system.memory().total, anonymous_resident_bytes(), accounted, 0};
  if (own.total > 0) total = {name, own.total, own.used, accounted, 0};
  total.unaccounted_bytes = static_cast<int64_t>(total.used_bytes) - static_cast<int64_t>(total.accounted_bytes);
  sample.devices.push_back(total);
  return sample;
}

}  // namespace halftone
