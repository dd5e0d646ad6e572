#include "server/net/descriptors.h"

#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace halftone {
namespace {

constexpr size_t kPerGrpc = 3;    // the client's socket, and both ends of the pair to gRPC
constexpr size_t kKeptBack = 32;  // for gRPC itself, files and what HTTP refuses politely; half where less is left

size_t open_descriptors() {
  std::error_code error;
  const std::filesystem::directory_iterator all("/proc/self/fd", error);
  return error ? 0 : static_cast<size_t>(std::distance(begin(all), end(all)));
}

}  // namespace

ConnectionShares share_descriptors(const ConnectionShares& wanted) {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  const rlimit raised = {limit.rlim_max, limit.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  if (limit.rlim_cur == RLIM_INFINITY) return wanted;
  const size_t used = open_descriptors();
  const size_t left = limit.rlim_cur > used ? static_cast<size_t>(limit.rlim_cur) - used : 0;
  const size_t usable = left - std::min(kKeptBack, left / 2);
  ConnectionShares shares;
  shares.http = std::max<size_t>(std::min(wanted.http, usable / 4), 1);
  shares.grpc = std::max<size_t>(std::min(wanted.grpc, (usable - std::min(usable, shares.http)) / kPerGrpc), 1);
  return shares;
}

}  // namespace halftone
