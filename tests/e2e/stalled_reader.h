// A client that takes the first message of a stream and then, for a while, nothing. Its connection has a small window,
// so that the server notices soon. Any thread.
#pragma once

#include <functional>
#include <string>

#include "tests/e2e/storm.h"

namespace halftone {

// Calls `pause` after the first message, then takes the rest. No details of the status.
StreamEnd stalled_stream(const std::string& address, const v1::GenerateRequest& request,
                         const std::function<void()>& pause);

}  // namespace halftone
