#include "server/source/mapping_faults.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>

#include "server/source/mapped_file.h"
#include "server/text/clean_text.h"

namespace halftone {
namespace {

struct Mapping {
  std::atomic<bool> taken{false};
  std::atomic<uintptr_t> begin{0};  // 0: nothing to be found here
  std::atomic<uintptr_t> end{0};
  char line[1100];  // what is said of it; written before begin
  size_t length = 0;
};

std::array<Mapping, kMostMappings>& mappings() {
  static std::array<Mapping, kMostMappings> all;
  return all;
}

// May call what POSIX lists as async-signal-safe, and nothing else.
void on_bus_error(int signal, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (const Mapping& mapping : mappings()) {
    const uintptr_t begin = mapping.begin.load();
    if (begin == 0 || address < begin || address >= mapping.end.load()) continue;
    (void)!::write(STDERR_FILENO, mapping.line, mapping.length);
    ::_exit(1);
  }
  // Not ours: as if nobody had listened. The instruction that failed fails again.
  struct sigaction plain = {};
  plain.sa_handler = SIG_DFL;
  ::sigaction(signal, &plain, nullptr);
}

}  // namespace

void remember_mapping(const uint8_t* data, uint64_t size, const std::string& path) {
  for (Mapping& mapping : mappings()) {
    if (mapping.taken.exchange(true)) continue;
    const std::string line = "halftone: " + clean_text(path, 1000) + ": became shorter while it was being read\n";
    std::memcpy(mapping.line, line.data(), line.size());
    mapping.length = line.size();
    mapping.end = reinterpret_cast<uintptr_t>(data) + size;
    mapping.begin = reinterpret_cast<uintptr_t>(data);
    return;
  }
}

void forget_mapping(const uint8_t* data) {
  for (Mapping& mapping : mappings()) {
    if (mapping.begin.load() != reinterpret_cast<uintptr_t>(data)) continue;
    mapping.begin = 0;
    mapping.taken = false;
    return;
  }
}

void explain_shortened_files() {
  mappings();  // made now: a handler must not
  struct sigaction action = {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace halftone
