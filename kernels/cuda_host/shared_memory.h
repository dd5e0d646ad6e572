// The shared memory of one block: poisoned when the block begins, watched for writes beyond its ends.
#pragma once

#include <cstddef>
#include <memory>

namespace halftone::cuda_host::machine {

constexpr int kPoison = 0xA5;

class SharedMemory {
 public:
  SharedMemory();

  void begin(size_t bytes);
  // False: something was written before or behind it. AddressSanitizer, where it is, reports that by itself.
  bool ends_untouched() const;

  std::byte* data() const { return data_; }
  bool contains(const void* address, size_t bytes) const {
    auto* first = static_cast<const std::byte*>(address);
    return first >= data_ && first + bytes <= data_ + bytes_;
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte, Free> memory_;  // guard, data, guard
  std::byte* data_;
  size_t bytes_ = 0;
};

}  // namespace halftone::cuda_host::machine
