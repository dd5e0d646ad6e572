// What gRPC's library has to say, for the whole life of the process: outsiders can make it say a lot.
#pragma once

#include <functional>
#include <string>

namespace halftone {

// Every line of gRPC's log goes to `write` from now on; ten a second at most, then how many were left out. Called by
// any thread; it must not wait. Before anything else of gRPC runs; once.
void take_grpc_log(std::function<void(const std::string&)> write);

}  // namespace halftone
