#include "server/memory_account.h"

#include "server/process_memory.h"

namespace halftone {

MemorySample memory_account(Device& device, const SourceFiles* files, const System& system) {
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
  const uint64_t mapped = files != nullptr ? files->mapped_bytes() : 0;
  MemorySample::Device total{name, system.memory().total, anonymous_resident_bytes() + mapped, accounted + mapped, 0};
  if (own.total > 0) total = {name, own.total, own.used, accounted, 0};
  total.unaccounted_bytes = static_cast<int64_t>(total.used_bytes) - static_cast<int64_t>(total.accounted_bytes);
  sample.devices.push_back(total);
  return sample;
}

}  // namespace halftone
