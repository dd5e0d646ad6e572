#include "server/engine/accounting.h"

#include <algorithm>
#include <string>

namespace halftone {
namespace {

// Weight of the newest interval in the mean.
constexpr double kNewest = 0.1;

double seconds(Nanoseconds time) { return static_cast<double>(time) * 1e-9; }

StepPhase phase_of(const StepPlan& plan) {
  if (plan.decode_sequences == 0) return StepPhase::kPrefill;
  return plan.decode_sequences == static_cast<int64_t>(plan.sequences.size()) ? StepPhase::kDecode : StepPhase::kMixed;
}

std::string_view reason_name(const Finish* finish) {
  if (finish == nullptr) return "none";
  switch (finish->reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kContextLimit:
      return "context_limit";
    case FinishReason::kTimeLimit:
      return "time_limit";
  }
  return "none";
}

}  // namespace

Accounting::Accounting(Executor& executor, Metrics& metrics)
    : executor_(executor),
      metrics_(metrics),
      prefix_published_(executor.modes().size()),
      mode_pages_(executor.modes().size()) {}

Account Accounting::open(const Request& request, Nanoseconds arrival) const {
  Account account;
  account.mode = request.mode;
  account.arrival = arrival;
  account.receipt.prompt_tokens = static_cast<uint32_t>(request.prompt.size());
  return account;
}

void Accounting::hold_pages(Account& account, int64_t pages, Nanoseconds now) {
  const double bytes = static_cast<double>(account.pages) * static_cast<double>(executor_.page_bytes());
  account.receipt.kv_byte_seconds += bytes * seconds(now - account.pages_since);
  account.pages_since = now;
  account.pages = pages;
  account.peak_pages = std::max(account.peak_pages, pages);
  account.receipt.peak_kv_bytes = static_cast<uint64_t>(account.peak_pages) * executor_.page_bytes();
}

void Accounting::started(Account& account, Nanoseconds now) {
  const double interval = seconds(now - std::max(last_start_, account.arrival));
  start_interval_seconds_ += kNewest * (interval - start_interval_seconds_);
  last_start_ = now;
  account.scheduled = now;
  account.receipt.queue_seconds = seconds(now - account.arrival);
}

void Accounting::planned(Account& account, const PlannedSequence& chunk, int64_t cached_tokens, Nanoseconds now) {
  if (!account.scheduled) {
    started(account, now);
    account.receipt.cached_tokens = static_cast<uint32_t>(cached_tokens);
    metrics_.mode(account.mode).prompt_tokens_cached->Increment(static_cast<double>(cached_tokens));
  }
  account.running = true;
  hold_pages(account, static_cast<int64_t>(chunk.pages.size()), now);
}

void Accounting::preempted(Account& account, Nanoseconds now) {
  account.running = false;
  hold_pages(account, 0, now);
  ++account.receipt.preemptions;
  metrics_.mode(account.mode).preemptions->Increment();
}

void Accounting::step(const StepPlan& plan, const StepCost& cost) {
  ModeMetrics& mode = metrics_.mode(cost.mode);
  const auto phase = static_cast<size_t>(phase_of(plan));
  mode.step[phase]->Observe(seconds(cost.device_time));
  mode.flops[phase]->Increment(cost.flops);
  mode.moved_bytes[phase]->Increment(cost.bytes_moved);
  mode.floor[phase]->Increment(cost.floor_seconds);
  mode.step_tokens->Observe(static_cast<double>(plan.tokens));
  mode.batch_size->Observe(static_cast<double>(plan.sequences.size()));
}

void Accounting::computed(Account& account, const PlannedSequence& chunk, const StepCost& cost) {
  const double share = static_cast<double>(chunk.count) / static_cast<double>(cost.tokens);
  account.receipt.device_seconds += share * seconds(cost.device_time);
  account.receipt.flops += share * cost.flops;
  account.receipt.bytes_moved += share * cost.bytes_moved;

  const int64_t end = chunk.first + chunk.count;
  const int64_t prompt = std::min<int64_t>(end, account.receipt.prompt_tokens) - (chunk.first + chunk.recomputed);
  ModeMetrics& mode = metrics_.mode(account.mode);
  if (chunk.recomputed > 0) mode.recomputed_tokens->Increment(static_cast<double>(chunk.recomputed));
  if (prompt > 0) mode.prompt_tokens_computed->Increment(static_cast<double>(prompt));
}

void Accounting::waited(Account& account, const StepCost& cost) {
  account.receipt.interference_seconds += seconds(cost.wall_time);
}

void Accounting::interfered(ModeIndex mode, const StepCost& cost) {
  metrics_.mode(mode).interference->Increment(seconds(cost.wall_time));
}

void Accounting::token(Account& account, Nanoseconds now) {
  ModeMetrics& mode = metrics_.mode(account.mode);
  if (!account.first_token) {
    account.first_token = now;
    account.receipt.ttft_seconds = seconds(now - account.arrival);
    mode.time_to_first_token->Observe(account.receipt.ttft_seconds);
  } else {
    mode.inter_token_latency->Observe(seconds(now - *account.last_token));
  }
  account.last_token = now;
  ++account.receipt.generated_tokens;
  mode.generated_tokens->Increment();
}

void Accounting::nonfinite_row(ModeIndex mode) { metrics_.mode(mode).nonfinite_rows->Increment(); }

void Accounting::close(Account& account, absl::StatusCode code, const Finish* finish, Nanoseconds now) {
  hold_pages(account, 0, now);
  account.running = false;
  Receipt& receipt = account.receipt;
  ModeMetrics& mode = metrics_.mode(account.mode);
  if (!account.scheduled) receipt.queue_seconds = seconds(now - account.arrival);
  mode.request_queue->Observe(receipt.queue_seconds);
  if (account.scheduled) {
    receipt.prefill_seconds = seconds(account.first_token.value_or(now) - *account.scheduled);
    mode.request_prefill->Observe(receipt.prefill_seconds);
  }
  if (account.first_token) {
    receipt.decode_seconds = seconds(*account.last_token - *account.first_token);
    mode.request_decode->Observe(receipt.decode_seconds);
  }
  if (receipt.generated_tokens > 1) {
    receipt.tpot_seconds = seconds(*account.last_token - *account.first_token) / (receipt.generated_tokens - 1);
    mode.time_per_output_token->Observe(receipt.tpot_seconds);
  }
  mode.request_prompt_tokens->Observe(receipt.prompt_tokens);
  mode.request_generated_tokens->Observe(receipt.generated_tokens);
  mode.request_peak_kv_bytes->Observe(static_cast<double>(receipt.peak_kv_bytes));
  metrics_.request_ended(account.mode, absl::StatusCodeToString(code), reason_name(finish),
                         seconds(now - account.arrival));
}

EngineLoad Accounting::publish(const Scheduler& scheduler) {
  EngineLoad load;
  for (size_t index = 0; index < prefix_published_.size(); ++index) {
    const auto mode = static_cast<ModeIndex>(index);
    const int64_t running = scheduler.running(mode);
    const int64_t waiting = scheduler.waiting(mode);
    const int64_t waiting_tokens = scheduler.waiting_tokens(mode);
    ModeMetrics& metrics = metrics_.mode(mode);
    metrics.requests_running->Set(static_cast<double>(running));
    metrics.requests_waiting->Set(static_cast<double>(waiting));
    metrics.waiting_tokens->Set(static_cast<double>(waiting_tokens));
    mode_pages_[index] = scheduler.pages_of(mode);
    metrics_.set_mode_pages(mode, mode_pages_[index]);
    load.running += static_cast<uint32_t>(running);
    load.waiting += static_cast<uint32_t>(waiting);
    load.waiting_tokens += static_cast<uint64_t>(waiting_tokens);
    load.estimated_queue_seconds += seconds(executor_.prefill_time(mode, waiting_tokens));

    const PrefixCacheCounts counts = scheduler.prefix_cache_counts(mode);
    PrefixCacheCounts& published = prefix_published_[index];
    metrics.prefix_queried_tokens->Increment(static_cast<double>(counts.queried_tokens - published.queried_tokens));
    metrics.prefix_hit_tokens->Increment(static_cast<double>(counts.hit_tokens - published.hit_tokens));
    published = counts;
  }
  // What stands in the queue must be computed, and leaves it no faster than others did of late.
  load.estimated_queue_seconds = std::max(load.estimated_queue_seconds, load.waiting * start_interval_seconds_);
  executor_.report_page_use(mode_pages_);
  const PageCounts pages = scheduler.page_counts();
  metrics_.set_pages(pages.free, pages.used, pages.cached);
  metrics_.set_estimated_queue_seconds(load.estimated_queue_seconds);
  return load;
}

}  // namespace halftone
