#include "server/process_memory.h"

#include <string>

#include "system/files.h"

namespace halftone {

uint64_t anonymous_resident_bytes() {
  const std::string status = read_text("/proc/self/status");
  return named_number(status, "RssAnon:").value_or(0) * 1024;
}

}  // namespace halftone
