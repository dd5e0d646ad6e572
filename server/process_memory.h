// What the operating system says about this process's memory. Any thread.
#pragma once

#include <cstdint>

namespace halftone {

uint64_t anonymous_resident_bytes();  // heap, arenas, stacks
uint64_t memory_limit_bytes();        // the machine's memory, or the cgroup's limit where that is lower
uint64_t memory_available_bytes();    // what could be taken now without swapping, under the same limit

}  // namespace halftone
