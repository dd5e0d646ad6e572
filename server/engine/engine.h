// The engine: one thread, one loop. Takes requests from a bounded queue, lets the scheduler plan and the executor
// compute, turns tokens into text and hands deltas to a delivery thread; it never calls gRPC itself.
//
//   absorb -> sweep -> (plan -> submit -> wait -> settle) ...   and asleep where nothing can run
//
// Public functions may be called from any thread. Everything private belongs to the engine thread, but for Admission
// and Delivery, which take care of themselves.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/engine/accounting.h"
#include "server/engine/admission.h"
#include "server/engine/delivery.h"
#include "server/engine/generation.h"
#include "server/engine/mutex.h"
#include "server/engine/output_stream.h"
#include "server/engine/request.h"
#include "server/engine/step_input.h"
#include "server/engine/turn.h"
#include "server/executor/executor.h"
#include "server/metrics/metrics.h"
#include "server/scheduler/scheduler.h"
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

  EngineLoad load() const { return admission_.load(); }
  // Takes no new requests; returns when all are done or at `deadline` (engine's clock), when the rest end UNAVAILABLE.
  void drain(Nanoseconds deadline) { admission_.drain(deadline); }
  // Brings a drain's deadline forward, or begins one, and does not wait for its end.
  void hasten(Nanoseconds deadline) { admission_.hasten(deadline); }
  bool draining() const { return admission_.draining(); }
  // Requests may find tokens of others in the prefix cache.
  bool shares_prefixes() const { return config_.prefix_cache; }
  Nanoseconds stall_limit() const { return config_.stall_limit; }
  // Set once by main: called on the engine thread when the executor failed and every stream was ended with INTERNAL.
  void on_fatal(std::function<void(absl::Status)> callback);

 private:
  // One request from the time the engine thread took it.
  struct Life {
    Life(Admission::Entry entry, const Tokenizer& tokenizer, Account opened);
    Request request;
    std::shared_ptr<OutputStream> stream;
    Generation generation;
    Account account;
    SequenceId sequence = 0;
  };
  struct End {
    Life* life = nullptr;
    absl::Status status;
  };

  void run();
  void absorb();
  void add(Admission::Entry entry);

  void sweep();
  std::optional<absl::Status> must_end(Life& life, Nanoseconds now) const;  // OK: a complete answer, by its time limit
  void end_all(const absl::Status& status);

  bool advance();  // runs a step; false where nothing can run
  StepPlan plan(ModeIndex mode, Nanoseconds budget, Nanoseconds now);
  int64_t token_budget(ModeIndex mode, Nanoseconds budget, int64_t* min_prompt) const;
  void execute(const StepPlan& plan);
  void settle(const StepPlan& plan, const StepOutput& output, Nanoseconds started);
  // Nothing: it goes on. A status: it is over.
  std::optional<absl::Status> take_results(const PlannedSequence& chunk, std::span<const RowResult> rows,
                                           StepResult* result, Nanoseconds now);
  void count_interference(const StepCost& cost);
  void fail(const absl::Status& error, const StepPlan& plan);

  void end(std::vector<End> ends, Nanoseconds now);
  void publish();
  Life& life(SequenceId id) { return *lives_.at(id); }

  const EngineConfig config_;
  Executor& executor_;
  const Tokenizer& tokenizer_;
  Metrics& metrics_;
  const std::function<Nanoseconds()> clock_;
  const size_t modes_;

  Scheduler scheduler_;
  Turn turn_;
  Accounting accounting_;
  StepBuilder builder_;
  std::unordered_map<SequenceId, std::unique_ptr<Life>> lives_;
  std::vector<bool> has_work_;  // by mode; kept for its memory
  absl::Status failure_;        // of the executor: the end

  Admission admission_;
  Delivery delivery_;
  Mutex fatal_mutex_;
  std::function<void(absl::Status)> on_fatal_ ABSL_GUARDED_BY(fatal_mutex_);
  std::thread thread_;  // last: it uses the rest
};

}  // namespace halftone
