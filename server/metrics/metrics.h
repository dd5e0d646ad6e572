// Every number that the server counts, in one place: /metrics, receipts' sums, GetMemory and the info page read these.
// Owned by main; the hot path is an atomic add on a field. Names and units: docs/METRICS.md. Any thread.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/executor/mode_facts.h"

namespace halftone {

enum class StepPhase { kPrefill, kDecode, kMixed };

// The series of one mode; all carry labels model and mode.
struct ModeMetrics {
  // Latency, seconds.
  prometheus::Histogram* time_to_first_token = nullptr;
  prometheus::Histogram* inter_token_latency = nullptr;    // between two tokens of one stream
  prometheus::Histogram* time_per_output_token = nullptr;  // per request: (end - first token) / (tokens - 1)
  prometheus::Histogram* request_queue = nullptr;
  prometheus::Histogram* request_prefill = nullptr;
  prometheus::Histogram* request_decode = nullptr;
  prometheus::Histogram* step[3] = {};          // llm_step_seconds{phase}: device time of its own steps
  prometheus::Counter* interference = nullptr;  // llm_interference_seconds_total
  // Traffic.
  prometheus::Counter* prompt_tokens_computed = nullptr;  // llm_prompt_tokens_total{source="computed"}
  prometheus::Counter* prompt_tokens_cached = nullptr;    // ... {source="cached"}
  prometheus::Counter* generated_tokens = nullptr;
  prometheus::Counter* preemptions = nullptr;
  prometheus::Counter* recomputed_tokens = nullptr;
  prometheus::Counter* prefix_queried_tokens = nullptr;
  prometheus::Counter* prefix_hit_tokens = nullptr;
  prometheus::Counter* nonfinite_rows = nullptr;  // llm_nonfinite_logits_total
  prometheus::Histogram* request_prompt_tokens = nullptr;
  prometheus::Histogram* request_generated_tokens = nullptr;
  prometheus::Histogram* request_peak_kv_bytes = nullptr;
  prometheus::Histogram* step_tokens = nullptr;
  prometheus::Histogram* batch_size = nullptr;  // sequences in a step
  // State.
  prometheus::Gauge* requests_running = nullptr;
  prometheus::Gauge* requests_waiting = nullptr;
  prometheus::Gauge* waiting_tokens = nullptr;
  // Work.
  prometheus::Counter* flops[3] = {};        // llm_flops_total{phase}
  prometheus::Counter* moved_bytes[3] = {};  // llm_moved_bytes_total{phase}
  prometheus::Counter* floor[3] = {};        // llm_floor_seconds_total{phase}
};

// What a mode did since the start, read from its series.
struct ModeTotals {
  double generated_tokens = 0;
  double step_seconds = 0;                           // of all phases
  double first_tokens = 0, first_token_seconds = 0;  // requests with a token, and the sum over them
  double paced_requests = 0, token_seconds = 0;      // requests with two tokens or more, and the sum of their TPOT
  double interference_seconds = 0;
};

// Read anew at each scrape.
struct MemorySample {
  struct Entry {
    std::string device, owner, category;
    uint64_t bytes = 0;
    uint64_t peak_bytes[3] = {};  // load, prefill, decode
  };
  struct Device {
    std::string device;
    uint64_t total_bytes = 0, used_bytes = 0, accounted_bytes = 0;
    int64_t unaccounted_bytes = 0;
  };
  std::vector<Entry> entries;
  std::vector<Device> devices;
};

class Metrics {
 public:
  // The facts of a mode become gauges and llm_mode_info.
  Metrics(const std::string& model, std::vector<ModeFacts> modes);

  ModeMetrics& mode(int index) { return modes_[static_cast<size_t>(index)]; }
  const std::vector<ModeFacts>& facts() const { return facts_; }

  // A request that was taken and ended: gRPC code by name ("OK", "CANCELLED"), finish reason ("stop", "length",
  // "context_limit", "time_limit", "none"), seconds from arrival. Words that labels.h does not list become
  // "UNKNOWN" and "other".
  void request_ended(int mode, std::string_view code, std::string_view finish_reason, double seconds);
  // Refused before it became a sequence: a reason of labels.h ("invalid", "not_found", "unsupported",
  // "too_long", "never_fits", "duplicate_id", "queue_full", "text_desk_full", "abandoned", "loading", "draining"), else
  // "other"; mode -1: none was named.
  void request_rejected(int mode, std::string_view reason);
  void set_pages(int64_t free, int64_t used, int64_t cached);  // llm_kv_pages{state}
  void set_mode_pages(int mode, int64_t used);                 // llm_kv_mode_pages
  void set_estimated_queue_seconds(double seconds);
  // Text that is parsed, rendered or encoded before the queue: calls and the bytes charged to them now; thread time.
  void set_text_load(int64_t calls, uint64_t bytes);
  void text_worked(double seconds);

  // Called by render(), on the scraping thread, one at a time. An empty function: no more of that (what it reads may
  // end).
  void on_scrape(std::function<MemorySample()> sample);

  // Text exposition format 0.0.4.
  std::string render();

  // Sums of what was counted, for info pages, receipts' tests and the client: the same counters as render().
  double request_count(int mode, std::string_view code) const;
  ModeTotals totals(int mode) const;

 private:
  struct Series;
  std::shared_ptr<Series> series_;
  std::vector<ModeFacts> facts_;
  std::vector<ModeMetrics> modes_;
};

}  // namespace halftone
