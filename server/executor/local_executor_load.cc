#include <algorithm>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/executor/local_executor.h"
#include "server/model/mode_kv_layout.h"
#include "server/model/quality_card.h"

namespace halftone {

absl::StatusOr<std::unique_ptr<LocalExecutor>> LocalExecutor::create(const ModelSource& source, Device& device,
                                                                     const LocalExecutorOptions& options) {
  std::unique_ptr<LocalExecutor> executor(new LocalExecutor(source.spec, device));
  absl::Status status = executor->load(source, options);
  if (!status.ok()) return status;
  return executor;
}

absl::Status LocalExecutor::load(const ModelSource& source, const LocalExecutorOptions& options) {
  roofline_ = options.roofline;
  auto weights = Weights::load(source, options.modes, device_,
                               {.threads = options.threads,
                                .progress = options.progress,
                                .pack_cache = options.pack_cache,
                                .warn = options.warn,
                                .admit = [&](uint64_t bytes) { return plan_memory(bytes, options); }});
  if (!weights.ok()) return weights.status();
  weights_ = *std::move(weights);
  auto transformer = Transformer::create(source, device_, context_, options.max_step_tokens, options.logit_rows);
  if (!transformer.ok()) return transformer.status();
  transformer_ = *std::move(transformer);
  absl::Status status = make_arena();
  if (!status.ok()) return status;
  describe(source, options);
  return warm_up();
}

// One page size for all modes: the smallest that holds a page of each.
void LocalExecutor::plan_layouts(const std::vector<Mode>& modes) {
  for (const Mode& mode : modes) {
    layouts_.push_back(mode_kv_layout(spec_, mode));
    page_bytes_ = std::max<uint64_t>(page_bytes_, layouts_.back().page_bytes);
  }
  for (KvLayout& layout : layouts_) layout.page_bytes = page_bytes_;
}

// The longest sequence: no request could use more than the pages of the mode that holds most.
int64_t LocalExecutor::pages_context(const LocalExecutorOptions& options) const {
  int64_t room = 0;
  for (const KvLayout& layout : layouts_) room = std::max(room, pages_ * layout.page_tokens);
  const int64_t own = spec_.context;
  return std::min({room, own, options.max_context > 0 ? options.max_context : own});
}

// How many pages there will be and how long a sequence, before anything is allocated: a process that takes more than
// it may have is killed without a word.
absl::Status LocalExecutor::plan_memory(uint64_t weights, const LocalExecutorOptions& options) {
  plan_layouts(options.modes);
  const Transformer::Size size = Transformer::size_of(spec_, device_, options.max_step_tokens, options.logit_rows);
  const bool known = options.free_bytes > 0;
  const uint64_t taken = weights + size.fixed;
  uint64_t kv_bytes = options.kv_bytes;
  if (kv_bytes == 0) {
    const uint64_t left = options.free_bytes - std::min(options.free_bytes, taken);
    kv_bytes = known ? std::min(options.default_kv_bytes, left / 2) : options.default_kv_bytes;
    kv_bytes = std::max(kv_bytes, 2 * page_bytes_);  // else the sum below is said, and not a flag that nobody gave
  }
  // PageId counts them.
  pages_ = static_cast<int64_t>(
      std::min<uint64_t>(kv_bytes / page_bytes_, static_cast<uint64_t>(std::numeric_limits<PageId>::max())));
  if (pages_ < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("--kv-bytes ", kv_bytes, " holds less than two pages of ", page_bytes_, " bytes"));
  }
  context_ = pages_context(options);
  const uint64_t arena = static_cast<uint64_t>(pages_) * page_bytes_;
  const uint64_t working = size.fixed + size.position * static_cast<uint64_t>(context_);
  if (!known || (arena <= options.free_bytes && weights + working <= options.free_bytes - arena)) {
    return absl::OkStatus();
  }
  auto megabytes = [](uint64_t bytes) { return absl::StrFormat("%.1f MB", static_cast<double>(bytes) / 1e6); };
  return absl::ResourceExhaustedError(absl::StrCat(
      "not enough memory: ", megabytes(weights), " for weights, ", megabytes(working), " to work in and ",
      megabytes(arena), " for KV pages (--kv-bytes) are needed, ", megabytes(options.free_bytes),
      " are free; fewer --modes, a smaller --kv-bytes, a smaller model or a higher limit of memory would do"));
}

absl::Status LocalExecutor::make_arena() {
  const uint64_t bytes = static_cast<uint64_t>(pages_) * page_bytes_;
  arena_ = device_.allocate(bytes, {"shared", MemoryCategory::kKvCache});
  if (arena_) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("no memory for ", bytes, " bytes of KV pages (--kv-bytes)"));
}

void LocalExecutor::describe(const ModelSource& source, const LocalExecutorOptions& options) {
  uint64_t workspace = 0;
  for (const MemoryEntry& entry : device_.ledger().entries()) {
    bool shared = entry.tag.category == MemoryCategory::kActivations ||
                  entry.tag.category == MemoryCategory::kWorkspace || entry.tag.category == MemoryCategory::kOther;
    if (shared) workspace += entry.bytes;
  }
  for (size_t i = 0; i < options.modes.size(); ++i) {
    const Mode& mode = options.modes[i];
    const ModeWeights& weights = weights_->mode(i);
    const KvLayout& layout = layouts_[i];
    ModeFacts facts;
    facts.id = mode.id;
    facts.weights = mode.weights;
    facts.activations = mode.activations;
    facts.kv = mode.kv;
    facts.import = weights.exact ? "exact" : "requantized";
    facts.source_format = source.format;
    facts.kernel = std::string(device_.kernel_name());
    facts.weights_digest = weights_digest(source.digest, mode.recipe);
    facts.bits_per_weight = weights.bits_per_weight;
    facts.own_bytes = weights.own_bytes;
    facts.shared_bytes = weights.shared_bytes;
    facts.footprint_bytes = weights.own_bytes + weights.shared_bytes + workspace + arena_.bytes();
    facts.page_tokens = layout.page_tokens;
    facts.page_padding_bytes = page_bytes_ - layout.used_bytes();
    facts.kv_bytes_per_token = layout.used_bytes() / static_cast<uint64_t>(layout.page_tokens);
    facts.kv_capacity_tokens = static_cast<uint64_t>(pages_ * layout.page_tokens);
    facts_.push_back(std::move(facts));
  }
}

// One small and one larger step of each mode on the first pages: fills the cost model, and the first request finds
// everything touched once.
absl::Status LocalExecutor::warm_up() {
  costs_.resize(facts_.size());
  std::vector<PageId> pages(static_cast<size_t>(std::min<int64_t>(pages_, 4)));
  std::iota(pages.begin(), pages.end(), 0);
  for (size_t mode = 0; mode < facts_.size(); ++mode) {
    int64_t many = std::min(
        {context_, int64_t{48}, facts_[mode].page_tokens * static_cast<int64_t>(pages.size()), max_step_tokens()});
    Nanoseconds times[2] = {};
    for (int64_t tokens : {int64_t{1}, int64_t{1}, many}) {
      std::vector<int32_t> ids(static_cast<size_t>(tokens), 0);
      LogitRow row;
      row.token = tokens - 1;
      row.target = 0;
      StepSequence sequence{ids, 0, pages, {&row, 1}};
      StepInput input{static_cast<ModeIndex>(mode), static_cast<ModeIndex>(mode), {&sequence, 1}};
      absl::Status status = submit(input);
      absl::StatusOr<StepOutput> output = status.ok() ? wait() : status;
      if (!output.ok()) return output.status();
      times[tokens == 1 ? 0 : 1] = output->device_time;
    }
    costs_[mode] = CostModel();
    if (many > 1) costs_[mode].calibrate(times[0], times[1], many);
  }
  return absl::OkStatus();
}

}  // namespace halftone
