// What the system lets this process take: processors by the affinity mask and by control groups' quotas, memory by the
// machine and by their limits. Any thread; everything is read anew at each call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace halftone {

struct Processors {
  int usable = 1;               // by as many threads as make sense; at least 1
  int machine = 1;              // that the machine has
  const char* limited_by = "";  // "affinity", "cgroup quota"; "": all may be used
};

struct SystemMemory {
  uint64_t total = 0;    // the machine's, or a control group's limit where that is lower
  uint64_t free = 0;     // of that, what could be taken without swapping
  uint64_t swap = 0;     // what could be taken beyond that; 0 where a control group limits
  bool limited = false;  // by a control group
};

class System {
 public:
  // root: another place to look for /proc and /sys, in tests.
  explicit System(std::string root = "") : root_(std::move(root)) {}

  Processors processors() const;
  SystemMemory memory() const;
  // "2 of 64 processors by cgroup quota; 1.0 GiB of memory, 0.9 free".
  std::string description() const;

 private:
  std::string root_;
};

// The processors in this thread's affinity mask, however many the machine has. ask(bytes, mask) is the system call:
// false, with EINVAL, where the mask is too short.
int allowed_processors(const std::function<bool(size_t bytes, unsigned long* mask)>& ask);

}  // namespace halftone
