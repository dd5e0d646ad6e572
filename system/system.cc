#include "system/system.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "system/cgroups.h"
#include "system/files.h"

namespace halftone {
namespace {

uint64_t saturated_kilobytes(std::optional<uint64_t> kilobytes) {
  uint64_t bytes = 0;
  if (!kilobytes) return 0;
  return __builtin_mul_overflow(*kilobytes, uint64_t{1024}, &bytes) ? kNoMemoryLimit : bytes;
}

bool ask_affinity(size_t bytes, unsigned long* mask) {
  return sched_getaffinity(0, bytes, reinterpret_cast<cpu_set_t*>(mask)) == 0;
}

uint64_t physical_bytes() {
  const int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(page) : 0;
}

}  // namespace

int allowed_processors(const std::function<bool(size_t, unsigned long*)>& ask) {
  constexpr size_t kMostWords = size_t{1} << 14;  // a million processors
  for (size_t words = 16; words <= kMostWords; words *= 2) {
    std::vector<unsigned long> mask(words, 0);
    if (ask(words * sizeof(unsigned long), mask.data())) {
      int count = 0;
      for (unsigned long word : mask) count += std::popcount(word);
      return std::max(1, count);
    }
    if (errno != EINVAL) break;
  }
  return 1;
}

Processors System::processors() const {
  Processors found;
  found.usable = allowed_processors(ask_affinity);
  found.machine = std::max(found.usable, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
  if (found.usable < found.machine) found.limited_by = "affinity";
  const int64_t quota = group_processors(root_);
  if (quota > 0 && quota < found.usable) {
    found.usable = static_cast<int>(quota);
    found.limited_by = "cgroup quota";
  }
  return found;
}

SystemMemory System::memory() const {
  const std::string info = read_text(root_ + "/proc/meminfo");
  SystemMemory found;
  found.total = saturated_kilobytes(named_number(info, "MemTotal:"));
  if (found.total == 0) found.total = physical_bytes();
  const std::optional<uint64_t> available = named_number(info, "MemAvailable:");
  found.free = available ? saturated_kilobytes(available) : found.total;
  found.swap = saturated_kilobytes(named_number(info, "SwapFree:"));
  const GroupMemory group = group_memory(root_);
  if (group.limit < found.total) {
    found.total = group.limit;
    found.swap = 0;
    found.limited = true;
  }
  found.free = std::min({found.free, group.free, found.total});
  return found;
}

std::string System::description() const {
  const Processors cpus = processors();
  const SystemMemory bytes = memory();
  const double gib = 1024.0 * 1024 * 1024;
  char text[160];
  std::snprintf(text, sizeof text, "%d of %d processors%s%s; %.1f GiB of memory, %.1f free", cpus.usable, cpus.machine,
                *cpus.limited_by != '\0' ? " by " : "", cpus.limited_by, static_cast<double>(bytes.total) / gib,
                static_cast<double>(bytes.free) / gib);
  return text;
}

}  // namespace halftone
