// The door: decides at once whether a request comes in, and keeps those that did until the engine thread takes them.
// Knows what lives, what waits and whether the server drains; never touches the scheduler. Any thread, but for what is
// marked.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "absl/status/status.h"
#include "server/engine/mutex.h"
#include "server/engine/output_stream.h"
#include "server/engine/request.h"

namespace halftone {

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

// What a mode can hold at all.
struct ModeCapacity {
  std::string id;
  int64_t context = 0;      // tokens of the longest sequence
  int64_t page_tokens = 0;  // of the longest sequence that all pages together hold
};

class Admission {
 public:
  struct Entry {
    Request request;
    std::shared_ptr<OutputStream> stream;
    Nanoseconds arrival = 0;
    int64_t max_generated = 0;  // the answer ends there at the latest
  };

  Admission(Limits limits, std::vector<ModeCapacity> capacities);

  // Null: refused, and *refusal says why; its short reason for the metrics is in *reason.
  std::shared_ptr<OutputStream> submit(Request request, Nanoseconds now, Refusal* refusal, const char** reason);
  EngineLoad load() const;
  void drain(Nanoseconds deadline);   // returns when nothing lives
  void hasten(Nanoseconds deadline);  // drains, too, but returns at once
  bool draining() const;
  void stop();  // the engine thread is to end

  // Engine thread.
  std::vector<Entry> take();  // still counted as waiting until publish()
  void publish(const EngineLoad& scheduler);
  void forget(const std::string& id);  // a new request may use it
  void ended();                        // one living request less; called after its stream's finish()
  bool stopping() const;
  std::optional<Nanoseconds> drain_deadline() const;
  // Takes no more: later ones are refused with `status`. What was still in the mailbox comes back.
  std::vector<Entry> close(absl::Status status);
  // Waits until there is something to take or to stop, or until `time` has passed (nothing: without a limit). May
  // return early.
  void wait(std::optional<Nanoseconds> time);

 private:
  struct Verdict {
    absl::Status status;
    const char* reason = "";
    bool retry = false;
    int64_t max_generated = 0;
  };
  Verdict judge_size(const Request& request) const;
  Verdict judge(const Request& request) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  EngineLoad current_load() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Limits limits_;
  const std::vector<ModeCapacity> capacities_;
  mutable Mutex mutex_;
  Condition engine_wakes_;
  Condition life_ended_;
  std::vector<Entry> mailbox_ ABSL_GUARDED_BY(mutex_);
  uint32_t unpublished_requests_ ABSL_GUARDED_BY(mutex_) = 0;  // in the mailbox, or taken from it since publish()
  uint64_t unpublished_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  EngineLoad scheduler_ ABSL_GUARDED_BY(mutex_);
  std::unordered_set<std::string> ids_ ABSL_GUARDED_BY(mutex_);
  int64_t living_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<Nanoseconds> drain_deadline_ ABSL_GUARDED_BY(mutex_);
  bool woken_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status closed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace halftone
