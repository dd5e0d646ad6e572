// A gRPC call's deadline on the engine's clock. Pure functions; any thread.
#pragma once

#include <grpc/support/time.h>
#include <grpcpp/server_context.h>

#include <optional>

#include "server/durations.h"
#include "server/scheduler/ids.h"

namespace halftone {

// gRPC's deadline is wall time; the engine's clock, which says `engine_now`, is monotonic. Nothing for one that is more
// than a year away: as std::chrono's time, in nanoseconds of 64 bits, the largest that clients may send would be past.
inline std::optional<Nanoseconds> engine_deadline(gpr_timespec deadline, gpr_timespec now, Nanoseconds engine_now) {
  constexpr double kYear = 365.0 * 24 * 3600;
  const double left =
      static_cast<double>(deadline.tv_sec) - static_cast<double>(now.tv_sec) + 1e-9 * (deadline.tv_nsec - now.tv_nsec);
  if (left > kYear) return std::nullopt;
  return left > 0 ? saturated_sum(engine_now, saturated_nanoseconds(left)) : engine_now;
}

inline std::optional<Nanoseconds> deadline_of(const grpc::CallbackServerContext& call, Nanoseconds engine_now) {
  return engine_deadline(gpr_convert_clock_type(call.raw_deadline(), GPR_CLOCK_REALTIME), gpr_now(GPR_CLOCK_REALTIME),
                         engine_now);
}

}  // namespace halftone
