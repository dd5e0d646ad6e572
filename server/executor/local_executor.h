// The executor on one device of this process: weights of all modes, one page arena, one transformer.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/contract/device.h"
#include "server/executor/cost_model.h"
#include "server/executor/executor.h"
#include "server/model/transformer.h"

namespace halftone {

struct LocalExecutorOptions {
  std::vector<Mode> modes = {};
  int64_t max_context = 0;  // 0: the model's own
  uint64_t kv_bytes = 0;    // of the page arena; 0: default_kv_bytes, or half of what weights leave free
  uint64_t default_kv_bytes = 0;
  uint64_t free_bytes = 0;  // what all of it may take; 0: not known, nothing is refused beforehand
  int64_t max_step_tokens = 512;
  int64_t logit_rows = 16;       // reduced at once; at most kGatherRows
  int threads = 1;               // that pack weights
  DeviceRoofline roofline = {};  // measured before; zeros: floor_seconds are 0
  std::function<void(double)> progress = {};
  std::string pack_cache = {};                        // a directory that keeps packed weights; empty: none
  std::function<void(const std::string&)> warn = {};  // hears what is wrong with it
};

class LocalExecutor final : public Executor {
 public:
  ~LocalExecutor() override;
  // The device outlives the executor; the source is not needed afterwards.
  static absl::StatusOr<std::unique_ptr<LocalExecutor>> create(const ModelSource& source, Device& device,
                                                               const LocalExecutorOptions& options);

  int64_t vocabulary() const override { return spec_.vocabulary; }
  int64_t context() const override { return context_; }
  int64_t max_step_tokens() const override { return transformer_->max_tokens(); }
  int64_t max_step_rows() const override { return transformer_->max_tokens(); }
  int64_t pages() const override { return pages_; }
  uint64_t page_bytes() const override { return page_bytes_; }
  std::span<const ModeFacts> modes() const override { return facts_; }

  int64_t tokens_for(ModeIndex mode, Nanoseconds budget) const override;
  Nanoseconds prefill_time(ModeIndex mode, int64_t tokens) const override;

  void report_page_use(std::span<const int64_t> by_mode) override;
  absl::Status submit(const StepInput& input) override;
  absl::StatusOr<StepOutput> wait() override;

  // K and V values that were beyond the range of their format and clamped, since the start.
  int64_t clamped_values() const { return clamped_values_; }
  const KvLayout& kv_layout(ModeIndex mode) const { return layouts_[static_cast<size_t>(mode)]; }

 private:
  LocalExecutor(const ModelSpec& spec, Device& device) : spec_(spec), device_(device) {}

  absl::Status load(const ModelSource& source, const LocalExecutorOptions& options);
  void plan_layouts(const std::vector<Mode>& modes);
  absl::Status plan_memory(uint64_t weights, const LocalExecutorOptions& options);
  int64_t pages_context(const LocalExecutorOptions& options) const;
  absl::Status make_arena();
  void describe(const ModelSource& source, const LocalExecutorOptions& options);
  absl::Status warm_up();
  // Fills *output; where the device fails meanwhile, the caller discards it.
  void run_rows(const StepInput& input, const std::vector<AttentionSequence>& sequences, StepOutput* output);
  void reduce_rows(std::span<const LogitRow* const> rows, std::span<const int64_t> positions, Tensor logits,
                   StepOutput* output);
  // What each row that draws has drawn; of the others nothing.
  std::vector<LogitCandidate> draw_tokens(std::span<const LogitRow* const> rows, std::span<const int64_t> positions,
                                          std::span<const LogitReduction> reductions);
  void draw_beyond(std::span<const LogitRow* const> rows, std::span<const int64_t> positions,
                   std::span<const LogitReduction> reductions, const std::vector<size_t>& which,
                   std::vector<LogitCandidate>* drawn);
  RowResult pick(const LogitRow& row, const LogitReduction& reduction, const LogitCandidate& drawn) const;
  absl::Status device_status() const;
  struct Seen;
  Seen seen_through(int64_t window, const StepInput& input) const;
  void count_work(const StepInput& input, size_t rows, StepOutput* output) const;

  const ModelSpec spec_;
  Device& device_;
  int64_t context_ = 0;
  std::unique_ptr<Weights> weights_;
  std::unique_ptr<Transformer> transformer_;
  std::vector<KvLayout> layouts_;  // by mode
  Buffer arena_;
  int64_t pages_ = 0;
  uint64_t page_bytes_ = 0;
  std::vector<ModeFacts> facts_;
  std::vector<CostModel> costs_;
  DeviceRoofline roofline_;
  int64_t clamped_values_ = 0;
  std::vector<float> host_row_;  // a row of logits fetched from a device with memory of its own
  const StepInput* submitted_ = nullptr;
};

}  // namespace halftone
