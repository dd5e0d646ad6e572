// The engine: one thread, one loop. Takes requests from a bounded queue, lets the scheduler plan and the executor
// compute, turns tokens into text and hands deltas to a delivery thread; it never calls gRPC itself.
//
// submit(), load(), drain() and hasten() may be called from any thread; everything else happens on the engine's own
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/output_stream.h"
#include "server/engine/request.h"
#include "server/executor/executor.h"
#include "server/metrics/metrics.h"
#include "server/text/tokenizer.h"

namespace halftone {

struct EngineConfig {
  Nanoseconds step_budget = 50'000'000;      // of one step
  Nanoseconds modes_budget = 200'000'000;    // shared by all modes that have work
  int64_t min_prompt_tokens = 16;            // of a step, where a prompt waits
  Nanoseconds stall_limit = 60'000'000'000;  // a reader that takes nothing for so long ends RESOURCE_EXHAUSTED
  int64_t max_running = 64;
  bool prefix_cache = true;
  Limits limits;
};

struct EngineLoad {
  uint32_t running = 0, waiting = 0;
  uint64_t waiting_tokens = 0;
  double estimated_queue_seconds = 0;
};

// Why submit() refused; the caller adds wire details. retry_after is set where trying again later makes sense.
struct Refusal {
  absl::Status status;
  std::optional<double> retry_after_seconds;
};

class Engine {
 public:
  // Borrowed: executor, tokenizer and metrics outlive the engine. `clock` gives nanoseconds, monotonic.
  Engine(const EngineConfig& config, Executor& executor, const Tokenizer& tokenizer, Metrics& metrics,
         std::function<Nanoseconds()> clock);
  ~Engine();  // drains nothing: every living stream ends UNAVAILABLE

  void start();

  // On success the stream of a request that is now in the queue. Statuses as published: ALREADY_EXISTS for a living id,
  // RESOURCE_EXHAUSTED for a full queue, OUT_OF_RANGE for what can never fit, UNAVAILABLE while draining.
  std::shared_ptr<OutputStream> submit(Request request, Refusal* refusal);

  EngineLoad load() const;
  // Takes no new requests; returns when all are done or at `deadline` (engine's clock), when the rest end UNAVAILABLE.
  void drain(Nanoseconds deadline);
  // Brings a drain's deadline forward, or begins one, and does not wait for its end.
  void hasten(Nanoseconds deadline);
  bool draining() const;
  bool shares_prefixes() const;  // requests may find tokens of others in the prefix cache
  Nanoseconds stall_limit() const;
  // Set once by main: called on the engine thread when the executor failed and every stream was ended with INTERNAL.
  void on_fatal(std::function<void(absl::Status)> callback);

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace halftone
