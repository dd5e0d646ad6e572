#include "kernels/cuda_host/accesses.h"

#include <algorithm>

#include "kernels/cuda_host/cuda_host.h"

namespace halftone::cuda_host::machine {

namespace {

constexpr uintptr_t kBanks = 32, kWordBytes = 4, kSectorBytes = 32;

void sort_unique(std::vector<uintptr_t>& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

// The numbers of all units (of `unit` bytes) that the rows touch, each once.
std::vector<uintptr_t> units(std::span<const uintptr_t> rows, size_t bytes, uintptr_t unit) {
  std::vector<uintptr_t> touched;
  for (uintptr_t row : rows) {
    for (uintptr_t number = row / unit; number <= (row + bytes - 1) / unit; ++number) touched.push_back(number);
  }
  sort_unique(touched);
  return touched;
}

}  // namespace

int shared_passes(std::span<const uintptr_t> rows, size_t bytes) {
  std::array<int, kBanks> words{};
  for (uintptr_t word : units(rows, bytes, kWordBytes)) ++words[word % kBanks];
  return *std::max_element(words.begin(), words.end());
}

void Accesses::add(Memory memory, int lane, const void* address, size_t bytes, CallSite site, Counters& counters) {
  const uint32_t bit = 1u << lane;
  auto found = std::find_if(open_.begin(), open_.end(), [&](const Access& access) {
    return access.memory == memory && access.site == site && access.bytes == bytes && (access.lanes & bit) == 0;
  });
  if (found == open_.end()) found = open_.insert(open_.end(), Access{memory, site, bytes, 0, {}});
  found->lanes |= bit;
  found->addresses[static_cast<size_t>(lane)] = reinterpret_cast<uintptr_t>(address);
  if (found->lanes != ~0u) return;
  count(*found, counters);
  open_.erase(found);
}

void Accesses::finish(Counters& counters) {
  for (const Access& access : open_) count(access, counters);
  open_.clear();
}

void Accesses::count(const Access& access, Counters& counters) {
  std::vector<uintptr_t> rows;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    if ((access.lanes >> lane & 1) != 0) rows.push_back(access.addresses[lane]);
  }
  if (access.memory == Memory::kGlobal) {
    counters.global_load_sectors += units(rows, access.bytes, kSectorBytes).size();
    counters.global_load_sectors_least += (rows.size() * access.bytes + kSectorBytes - 1) / kSectorBytes;
    return;
  }
  ++counters.shared_accesses;
  // Wide accesses go in parts of the warp that ask for 128 bytes: 8 lanes with 16 each, 16 with 8, 32 with 4.
  const size_t together = std::min<size_t>(kLanes, kBanks * kWordBytes / access.bytes);
  for (size_t first = 0; first < rows.size(); first += together) {
    std::span<const uintptr_t> part = std::span(rows).subspan(first, std::min(together, rows.size() - first));
    counters.shared_conflicts += static_cast<uint64_t>(shared_passes(part, access.bytes) - 1);
  }
}

}  // namespace halftone::cuda_host::machine
