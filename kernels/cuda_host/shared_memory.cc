#include "kernels/cuda_host/shared_memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernels/cuda_host/sanitizers.h"
#include "kernels/cuda_host/thread.h"

namespace halftone::cuda_host::machine {

namespace {

constexpr size_t kGuardBytes = 1024;  // and alignment
constexpr size_t kBytes = kGuardBytes + kSharedBytesMost + kGuardBytes;

bool poisoned(const std::byte* first, size_t bytes) {
  return std::all_of(first, first + bytes, [](std::byte value) { return value == std::byte{kPoison}; });
}

}  // namespace

SharedMemory::SharedMemory()
    : memory_(static_cast<std::byte*>(std::aligned_alloc(kGuardBytes, kBytes))), data_(memory_.get() + kGuardBytes) {}

void SharedMemory::Free::operator()(std::byte* memory) const {
  if (__asan_unpoison_memory_region != nullptr) __asan_unpoison_memory_region(memory, kBytes);
  std::free(memory);
}

void SharedMemory::begin(size_t bytes) {
  bytes_ = bytes;
  if (__asan_unpoison_memory_region != nullptr) __asan_unpoison_memory_region(memory_.get(), kBytes);
  std::memset(memory_.get(), kPoison, kGuardBytes + bytes + kGuardBytes);
  if (__asan_poison_memory_region != nullptr) {
    __asan_poison_memory_region(memory_.get(), kGuardBytes);
    __asan_poison_memory_region(data_ + bytes, kBytes - kGuardBytes - bytes);
  }
}

bool SharedMemory::ends_untouched() const {
  if (__asan_poison_memory_region != nullptr) return true;
  return poisoned(memory_.get(), kGuardBytes) && poisoned(data_ + bytes_, kGuardBytes);
}

}  // namespace halftone::cuda_host::machine
