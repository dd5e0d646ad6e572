// One request's way back: from the engine thread to whoever asked. Deltas that nobody took yet are merged into one
// pending message, so a slow reader gets fewer, larger ones and memory stays bounded by the answer itself. The engine
// pushes and finishes (engine thread); the reader takes and cancels (any one thread). Either may end first: this is the
// one shared_ptr.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/engine/mutex.h"
#include "server/executor/sampling.h"
#include "server/scheduler/ids.h"

namespace halftone {

struct TokenRecord {
  int32_t id = 0;
  std::string piece;             // its bytes
  std::optional<float> logprob;  // where asked for
  std::optional<uint32_t> rank;
  std::optional<float> logsumexp;  // scores only
  std::vector<Candidate> top;
};

enum class FinishReason { kStop, kLength, kContextLimit, kTimeLimit };

struct Finish {
  FinishReason reason = FinishReason::kStop;
  std::optional<std::string> stop;       // the stop string that matched
  std::optional<int32_t> stop_token_id;  // the end or stop token that was drawn
};

// Times in seconds, sizes in bytes; the same counters as the metrics.
struct Receipt {
  uint32_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0, preemptions = 0;
  double queue_seconds = 0, prefill_seconds = 0, decode_seconds = 0, ttft_seconds = 0, tpot_seconds = 0;
  double device_seconds = 0;        // its share of its steps' device time, by tokens
  double interference_seconds = 0;  // its decodes waited for other modes' steps
  uint64_t peak_kv_bytes = 0;
  double kv_byte_seconds = 0;
  double flops = 0, bytes_moved = 0;
};

struct OutputDelta {
  // Where prompt_logprobs were asked for: the whole prompt, in one delta and no later than the first token. The first
  // prompt token has no log-probability.
  std::vector<TokenRecord> prompt_tokens;
  std::string text;  // complete UTF-8
  // One for each generated token; of a kScore request one for each scored token of the prompt, from first_scored on.
  std::vector<TokenRecord> tokens;
  std::optional<Finish> finish;    // in the last delta of a complete answer
  std::optional<Receipt> receipt;  // in the last one, always: before an end with an error too
};

class OutputStream {
 public:
  // Engine thread.
  void push(OutputDelta delta);  // merged into what is pending
  void finish(
      absl::Status status);  // nothing comes after it; status OK only with a Finish pushed before (scores: without)
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  bool has_pending() const;           // nobody took the last delta yet
  Nanoseconds pending_since() const;  // when the oldest untaken delta was pushed; for stalled readers
  void note_time(Nanoseconds now) { now_.store(now, std::memory_order_relaxed); }

  // Reader. A taken event holds a delta, or the end, or both in two calls: first every delta, then the end.
  struct Event {
    std::optional<OutputDelta> delta;
    std::optional<absl::Status> end;
  };
  // Something to read, or nothing; then `ready` is called once, from the delivery thread, when there is.
  std::optional<Event> take(std::function<void()> ready);
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

  // Delivery thread: calls the waiting `ready`, if any.
  void deliver();
  // True once for each deliver() that follows: the stream is then to be put in the delivery queue.
  bool claim_delivery() { return !delivery_claimed_.exchange(true, std::memory_order_acq_rel); }

 private:
  mutable Mutex mutex_;
  std::optional<OutputDelta> pending_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> ready_ ABSL_GUARDED_BY(mutex_);
  Nanoseconds pending_since_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<bool> delivery_claimed_{false};
  std::atomic<Nanoseconds> now_{0};
  std::atomic<bool> cancelled_{false};
};

}  // namespace halftone
