#include "server/rpc/grpc_log.h"

#include <grpc/support/log.h>

#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/line_limit.h"

namespace halftone {
namespace {

constexpr uint32_t kLinesPerSecond = 10;

struct Sink {
  std::function<void(const std::string&)> write;
  LineLimit limit{kLinesPerSecond};
};

Sink* sink = nullptr;  // never destroyed: gRPC's threads may outlive main

void write_line(gpr_log_func_args* line) {
  const std::optional<uint64_t> left_out = sink->limit.may_write(std::chrono::steady_clock::now());
  if (!left_out) return;
  if (*left_out > 0) sink->write(absl::StrCat(*left_out, " lines of gRPC's log left out"));
  sink->write(absl::StrCat("gRPC: ", line->message));
}

}  // namespace

void take_grpc_log(std::function<void(const std::string&)> write) {
  sink = new Sink{std::move(write)};
  gpr_set_log_function(write_line);
}

}  // namespace halftone
