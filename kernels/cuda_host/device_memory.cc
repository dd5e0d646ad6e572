#include "kernels/cuda_host/device_memory.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "kernels/cuda_host/machine.h"
#include "kernels/cuda_host/sanitizers.h"

namespace halftone::cuda_host::machine {

namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kGapBytes = 256;  // behind each allocation: what runs over its end is in none

bool aligned(const void* address, size_t bytes) { return reinterpret_cast<uintptr_t>(address) % bytes == 0; }

}  // namespace

DeviceMemory& DeviceMemory::instance() {
  static auto* memory = new DeviceMemory;  // never destroyed: static objects may free theirs later
  return *memory;
}

void* DeviceMemory::allocate(size_t bytes, Where where) {
  if (where == Where::kDevice && !has(bytes)) return nullptr;
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, bytes + kGapBytes) != 0) return nullptr;
  std::memset(memory, kPoison, bytes);
  if (__asan_poison_memory_region != nullptr) {
    __asan_poison_memory_region(static_cast<std::byte*>(memory) + bytes, kGapBytes);
  }
  if (where == Where::kDevice) used_bytes_ += bytes;
  allocations_.insert({static_cast<const std::byte*>(memory), Allocation{bytes, where}});
  return memory;
}

bool DeviceMemory::has(size_t bytes) const {
  const size_t limit = Machine::instance().settings.memory_bytes;
  return bytes <= limit && used_bytes_ <= limit - bytes;
}

bool DeviceMemory::hold(size_t bytes) {
  if (!has(bytes)) return false;
  used_bytes_ += bytes;
  return true;
}

bool DeviceMemory::free(void* memory, Where where) {
  auto found = allocations_.find(static_cast<const std::byte*>(memory));
  if (found == allocations_.end() || found->second.where != where) return false;
  const size_t bytes = found->second.bytes;
  if (where == Where::kDevice) used_bytes_ -= bytes;
  if (__asan_unpoison_memory_region != nullptr) {
    __asan_unpoison_memory_region(static_cast<std::byte*>(memory) + bytes, kGapBytes);
  }
  allocations_.erase(found);
  std::free(memory);
  return true;
}

const std::pair<const std::byte* const, DeviceMemory::Allocation>* DeviceMemory::find(const void* address) const {
  auto after = allocations_.upper_bound(static_cast<const std::byte*>(address));
  if (after == allocations_.begin()) return nullptr;
  const auto& allocation = *std::prev(after);
  return static_cast<const std::byte*>(address) < allocation.first + allocation.second.bytes ? &allocation : nullptr;
}

bool DeviceMemory::contains(const void* address, size_t bytes) const {
  const auto* allocation = find(address);
  if (allocation == nullptr) return false;
  const auto offset = static_cast<size_t>(static_cast<const std::byte*>(address) - allocation->first);
  return bytes <= allocation->second.bytes - offset;
}

bool DeviceMemory::on_device(const void* address) const {
  const auto* allocation = find(address);
  return allocation != nullptr && allocation->second.where == Where::kDevice;
}

void expect_shared(const void* address, size_t bytes, CallSite site) {
  const Block& block = *Machine::instance().running->block;
  if (!block.shared.contains(address, bytes)) fail(site, "%p is outside of the block's shared memory", address);
  if (!aligned(address, bytes)) fail(site, "%p in shared memory is not aligned to %zu bytes", address, bytes);
}

void expect_global(const void* address, size_t bytes, CallSite site) {
  if (!DeviceMemory::instance().contains(address, bytes)) fail(site, "%p is outside of device memory", address);
  if (!aligned(address, bytes)) fail(site, "%p in device memory is not aligned to %zu bytes", address, bytes);
}

void read_global(const void* address, size_t bytes, CallSite site) {
  expect_global(address, bytes, site);
  Machine& machine = Machine::instance();
  if (!machine.settings.counters) return;
  machine.counters.global_load_bytes += bytes;
  const Thread& thread = *machine.running;
  thread.warp->accesses.add(Memory::kGlobal, thread.lane, address, bytes, site, machine.counters);
}

void write_global(const void* address, size_t bytes, CallSite site) {
  expect_global(address, bytes, site);
  Machine& machine = Machine::instance();
  if (machine.settings.counters) machine.counters.global_store_bytes += bytes;
}

void access_shared(const void* address, size_t bytes, CallSite site) {
  expect_shared(address, bytes, site);
  Machine& machine = Machine::instance();
  if (!machine.settings.counters) return;
  const Thread& thread = *machine.running;
  thread.warp->accesses.add(Memory::kShared, thread.lane, address, bytes, site, machine.counters);
}

}  // namespace halftone::cuda_host::machine
