#include "server/process_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace halftone {
namespace {

// "Name:   123 kB" of a file such as /proc/self/status, in bytes; 0: not there.
uint64_t kilobytes_field(const char* path, const std::string& name) {
  std::ifstream file(path);
  std::string word;
  uint64_t value = 0;
  while (file >> word) {
    if (word == name && file >> value) return value * 1024;
  }
  return 0;
}

// A file with one number; "max" and a missing file are no limit.
uint64_t number_or_unlimited(const char* path) {
  std::ifstream file(path);
  uint64_t value = 0;
  return file >> value ? value : std::numeric_limits<uint64_t>::max();
}

uint64_t cgroup_limit() {
  return std::min(number_or_unlimited("/sys/fs/cgroup/memory.max"),
                  number_or_unlimited("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
}

}  // namespace

uint64_t anonymous_resident_bytes() { return kilobytes_field("/proc/self/status", "RssAnon:"); }

uint64_t memory_limit_bytes() { return std::min(kilobytes_field("/proc/meminfo", "MemTotal:"), cgroup_limit()); }

uint64_t memory_available_bytes() {
  uint64_t machine = kilobytes_field("/proc/meminfo", "MemAvailable:"), limit = cgroup_limit();
  uint64_t used = number_or_unlimited("/sys/fs/cgroup/memory.current");
  if (limit == std::numeric_limits<uint64_t>::max() || used > limit) return machine;
  return std::min(machine, limit - used);
}

}  // namespace halftone
