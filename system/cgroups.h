// The limits of control groups, v1, v2 and both at once: those of this process's own group and of every group above it
// that can be seen. What is missing or cannot be understood limits nothing. Any thread; files are read at each call.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

namespace halftone {

constexpr uint64_t kNoMemoryLimit = std::numeric_limits<uint64_t>::max();

struct GroupMemory {
  uint64_t limit = kNoMemoryLimit;  // the lowest of all groups, a soft one (memory.high) as a hard one
  uint64_t free = kNoMemoryLimit;   // the least that any group has left; files that it has cached count as free
};

// root: where /proc and /sys are looked for; "" for the real ones.
GroupMemory group_memory(const std::string& root);
// The least of all groups' quotas in whole processors, rounded up; 0: none limits.
int64_t group_processors(const std::string& root);

}  // namespace halftone
