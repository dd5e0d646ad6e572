// An executor without a model, for tests of everything above it. Its tokens are a function of what lies in its
// simulated pages, read through the page table of the step: a wrong page, a page overwritten or another mode's page
// changes the answer, while company, chunk edges, preemption and cache hits may not. Promises of the executor's
// interface that the caller breaks end the process.
//
// submit() and wait(): engine thread. The switches (hold, fail_at_step, ...): any thread. Constant functions: any
// thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "server/executor/executor.h"

namespace halftone {

// Time that stands still unless somebody moves it. Any thread.
class FakeClock {
 public:
  Nanoseconds now() const { return now_.load(std::memory_order_relaxed); }
  void advance(Nanoseconds time) { now_.fetch_add(time, std::memory_order_relaxed); }
  std::function<Nanoseconds()> function() const {
    return [this] { return now(); };
  }

 private:
  std::atomic<Nanoseconds> now_{1'000'000'000};
};

struct FakeMode {
  std::string id = "w4a16";
  int64_t page_tokens = 16;
  Nanoseconds step_time = 1'000'000;  // of every step of this mode
  Nanoseconds token_time = 100'000;   // and for each token in it
};

struct FakeExecutorConfig {
  std::vector<FakeMode> modes = {FakeMode()};
  int64_t vocabulary = 300;
  int64_t context = 256;
  int64_t max_step_tokens = 256;
  int64_t max_step_rows = 128;
  int64_t pages = 64;
  uint64_t page_bytes = 4096;
  FakeClock* clock = nullptr;  // moved on by each step's device time
  bool sleeps = false;         // steps last their device time in the real world too
};

class FakeExecutor final : public Executor {
 public:
  explicit FakeExecutor(FakeExecutorConfig config);

  int64_t vocabulary() const override { return config_.vocabulary; }
  int64_t context() const override { return config_.context; }
  int64_t max_step_tokens() const override { return config_.max_step_tokens; }
  int64_t max_step_rows() const override { return config_.max_step_rows; }
  int64_t pages() const override { return config_.pages; }
  uint64_t page_bytes() const override { return config_.page_bytes; }
  std::span<const ModeFacts> modes() const override { return facts_; }
  int64_t tokens_for(ModeIndex mode, Nanoseconds budget) const override;
  Nanoseconds prefill_time(ModeIndex mode, int64_t tokens) const override;
  void report_page_use(std::span<const int64_t> by_mode) override;
  absl::Status submit(const StepInput& input) override;
  absl::StatusOr<StepOutput> wait() override;

  // The greedy answer to a prompt, computed without pages: what a correct engine must deliver.
  std::vector<int32_t> answer(ModeIndex mode, std::vector<int32_t> prompt, int64_t tokens) const;

  // The most probable token after some content, in place of the built-in function; a negative one: the built-in. Set
  // before the first step.
  using Chooser = std::function<int32_t(ModeIndex, std::span<const int32_t>)>;
  void choose(Chooser chooser) { chooser_ = std::move(chooser); }
  // Sees every drawn row before it is answered, on the engine thread. Set before the first step.
  void observe(std::function<void(const LogitRow&)> observer) { observer_ = std::move(observer); }

  void poison(int32_t token) { poison_ = token; }            // rows whose content holds this token are not finite
  void fail_at_step(int64_t step) { fail_at_step_ = step; }  // wait() of that step (the first is 1) is an error
  void hold();                                               // the next submit() waits until release()
  void release();
  void let_one_pass();     // the one that waits, and no other
  void wait_until_held();  // returns when a submit() waits
  int64_t steps() const { return steps_; }
  int64_t held_pages() const { return held_pages_; }  // of all modes, as the engine said last
  int64_t largest_step_rows() const { return largest_step_rows_; }
  int64_t largest_step_tokens() const { return largest_step_tokens_; }

 private:
  struct Slot {
    int32_t token = -1;
    ModeIndex kv = -1;
    int64_t step = 0;  // that wrote it
  };

  Slot& slot(const StepInput& input, const StepSequence& sequence, int64_t position);
  void store(const StepInput& input, const StepSequence& sequence);
  void reduce(const StepInput& input, const StepSequence& sequence);
  RowResult row_result(const LogitRow& row, ModeIndex mode, std::span<const int32_t> content, uint64_t hash) const;
  int32_t best_token(ModeIndex mode, std::span<const int32_t> content, uint64_t hash) const;
  void pass_gate();

  const FakeExecutorConfig config_;
  std::vector<ModeFacts> facts_;
  int64_t slots_per_page_ = 0;
  std::vector<Slot> slots_;
  Chooser chooser_;
  std::function<void(const LogitRow&)> observer_;
  std::optional<StepOutput> output_;
  std::atomic<int32_t> poison_{-1};
  std::atomic<int64_t> fail_at_step_{std::numeric_limits<int64_t>::max()};
  std::atomic<int64_t> steps_{0};
  std::atomic<int64_t> largest_step_rows_{0};
  std::atomic<int64_t> largest_step_tokens_{0};
  std::atomic<int64_t> held_pages_{0};

  std::mutex gate_mutex_;
  std::condition_variable gate_moved_;
  bool gate_closed_ = false;
  int passes_ = 0;
  bool held_ = false;
};

}  // namespace halftone
