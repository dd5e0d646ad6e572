// The one place where the engine counts: receipts of requests and the metrics of their modes are written together, from
// the same figures. Engine thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/engine/admission.h"
#include "server/engine/output_stream.h"
#include "server/executor/executor.h"
#include "server/metrics/metrics.h"
#include "server/scheduler/scheduler.h"

namespace halftone {

// One request's part. Times in nanoseconds of the engine's clock.
struct Account {
  ModeIndex mode = 0;
  Nanoseconds arrival = 0;
  std::optional<Nanoseconds> scheduled, first_token, last_token;
  bool running = false;  // has pages
  int64_t pages = 0, peak_pages = 0;
  Nanoseconds pages_since = 0;
  Receipt receipt;

  bool decodes() const { return running && first_token.has_value(); }
};

// A step that was run.
struct StepCost {
  ModeIndex mode = 0;
  int64_t tokens = 0;
  Nanoseconds device_time = 0, wall_time = 0;
  double flops = 0, bytes_moved = 0, floor_seconds = 0;
};

class Accounting {
 public:
  // Borrowed: both outlive the accounting.
  Accounting(Executor& executor, Metrics& metrics);

  Account open(const Request& request, Nanoseconds arrival) const;
  void planned(Account& account, const PlannedSequence& chunk, int64_t cached_tokens, Nanoseconds now);
  void preempted(Account& account, Nanoseconds now);

  void step(const StepPlan& plan, const StepCost& cost);
  void computed(Account& account, const PlannedSequence& chunk, const StepCost& cost);
  void waited(Account& account, const StepCost& cost);    // a decode stood still while another mode's step ran
  void interfered(ModeIndex mode, const StepCost& cost);  // the same once for a mode that has such decodes
  void token(Account& account, Nanoseconds now);
  void nonfinite_row(ModeIndex mode);

  // The request is over: its receipt is complete. `finish`: null where there is none.
  void close(Account& account, absl::StatusCode code, const Finish* finish, Nanoseconds now);

  // Gauges, totals and pages as the scheduler has them now; what the door should know of it.
  EngineLoad publish(const Scheduler& scheduler);

 private:
  void hold_pages(Account& account, int64_t pages, Nanoseconds now);
  void started(Account& account, Nanoseconds now);

  Executor& executor_;
  Metrics& metrics_;
  std::vector<PrefixCacheCounts> prefix_published_;  // by mode
  std::vector<int64_t> mode_pages_;                  // by mode
  Nanoseconds last_start_ = 0;                       // when a request left the queue for the first time
  double start_interval_seconds_ = 0;                // between two of them: moving average without idle time
};

}  // namespace halftone
