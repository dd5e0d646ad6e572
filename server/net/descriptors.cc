#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "server/net/gate.h"

namespace halftone {
namespace {

constexpr size_t kPerConnection = 3;  // the client's socket, and both ends of the pair to gRPC
constexpr size_t kKeptBack = 64;      // for HTTP, files and gRPC itself; half of all where that is less

size_t open_descriptors() {
  std::error_code error;
  const std::filesystem::directory_iterator all("/proc/self/fd", error);
  return error ? 0 : static_cast<size_t>(std::distance(begin(all), end(all)));
}

}  // namespace

size_t make_room_for_connections(size_t wanted) {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  const rlimit raised = {limit.rlim_max, limit.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  if (limit.rlim_cur == RLIM_INFINITY) return wanted;
  const size_t used = open_descriptors();
  const size_t free = limit.rlim_cur > used ? static_cast<size_t>(limit.rlim_cur) - used : 0;
  const size_t usable = free - std::min(kKeptBack, free / 2);
  return std::clamp<size_t>(usable / kPerConnection, 1, std::max<size_t>(wanted, 1));
}

}  // namespace halftone
