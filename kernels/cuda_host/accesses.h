// Counts how the lanes of a warp touch memory together: sectors of global memory, banks of shared memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cuda_host/call_site.h"
#include "kernels/cuda_host/thread.h"

namespace halftone::cuda_host {
struct Counters;
}

namespace halftone::cuda_host::machine {

enum class Memory : uint8_t { kGlobal, kShared };

// Passes that shared memory needs for these rows of `bytes` each: every bank of 4 bytes gives one word a pass.
int shared_passes(std::span<const uintptr_t> rows, size_t bytes);

// What the lanes of one warp have accessed. Lanes do so one after another: the n-th access of one lane at one site
// belongs with the n-th of the others.
class Accesses {
 public:
  void add(Memory memory, int lane, const void* address, size_t bytes, CallSite site, Counters& counters);
  // Counts those that some lanes took no part in.
  void finish(Counters& counters);

 private:
  struct Access {
    Memory memory;
    CallSite site;
    size_t bytes;
    uint32_t lanes;
    std::array<uintptr_t, kLanes> addresses;
  };
  static void count(const Access& access, Counters& counters);

  std::vector<Access> open_;
};

}  // namespace halftone::cuda_host::machine
