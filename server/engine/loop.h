// The engine's inside: the thread, what lives on it, and one step after the other.
//
//   absorb -> sweep -> (plan -> submit -> wait -> settle) ...   and asleep where nothing can run
//
// Everything private belongs to the engine thread; what other threads may touch is in Admission and Delivery.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "server/engine/accounting.h"
#include "server/engine/admission.h"
#include "server/engine/delivery.h"
#include "server/engine/engine.h"
#include "server/engine/generation.h"
#include "server/engine/mutex.h"
#include "server/engine/step_input.h"
#include "server/engine/turn.h"
#include "server/scheduler/scheduler.h"

namespace halftone {

class Engine::Loop {
 public:
  Loop(const EngineConfig& config, Executor& executor, const Tokenizer& tokenizer, Metrics& metrics,
       std::function<Nanoseconds()> clock);
  ~Loop();

  void start();
  std::shared_ptr<OutputStream> submit(Request request, Refusal* refusal);
  void on_fatal(std::function<void(absl::Status)> callback);
  Admission& admission() { return admission_; }
  const EngineConfig& config() const { return config_; }

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
