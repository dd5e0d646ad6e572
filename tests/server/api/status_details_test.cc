#include "server/api/status_details.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace halftone {
namespace {

TEST(RetryAfter, AnyNumberIsADurationThatCanBeSent) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (double seconds : {std::nan(""), -1.0, -infinity, 0.0, 1.25, 1e10, 1e300, infinity}) {
    absl::Status status = absl::UnavailableError("later");
    set_retry_after(status, seconds);
    google::rpc::Status wire;
    ASSERT_TRUE(wire.ParseFromString(details_bytes(status)));
    google::rpc::RetryInfo info;
    ASSERT_TRUE(wire.details(0).UnpackTo(&info));
    EXPECT_GE(info.retry_delay().seconds(), 0) << seconds;
    EXPECT_GE(info.retry_delay().nanos(), 0) << seconds;
    EXPECT_LT(info.retry_delay().nanos(), 1'000'000'000) << seconds;
    if (seconds == 1.25) {
      EXPECT_EQ(info.retry_delay().seconds(), 1);
      EXPECT_EQ(info.retry_delay().nanos(), 250'000'000);
    }
  }
}

}  // namespace
}  // namespace halftone
