// The device's memory and the host's pinned memory: which addresses kernels may touch, and how much is left.
#pragma once

#include <cstddef>
#include <map>
#include <utility>

namespace halftone::cuda_host::machine {

class DeviceMemory {
 public:
  enum class Where { kDevice, kPinned };

  static DeviceMemory& instance();

  // Poisoned, aligned to 256 bytes. Null: the device has not so much left.
  void* allocate(size_t bytes, Where where);
  // False: nothing was allocated there.
  bool free(void* memory, Where where);

  // Memory that has no address: what the driver holds. False: the device has not so much left.
  bool hold(size_t bytes);
  void let_go(size_t bytes) { used_bytes_ -= bytes; }

  // Whether a kernel may touch these bytes.
  bool contains(const void* address, size_t bytes) const;
  // Whether the address lies in the device's own memory.
  bool on_device(const void* address) const;

  size_t used_bytes() const { return used_bytes_; }

 private:
  struct Allocation {
    size_t bytes;
    Where where;
  };
  DeviceMemory() = default;
  bool has(size_t bytes) const;
  const std::pair<const std::byte* const, Allocation>* find(const void* address) const;

  std::map<const std::byte*, Allocation> allocations_;  // by their first byte
  size_t used_bytes_ = 0;
};

}  // namespace halftone::cuda_host::machine
