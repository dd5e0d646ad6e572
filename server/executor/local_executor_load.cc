#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "server/executor/local_executor.h"
#include "server/model/mode_kv_layout.h"
#include "server/model/quality_card.h"

namespace halftone {

absl::StatusOr<std::unique_ptr<LocalExecutor>> LocalExecutor::create(const ModelSource& source, Device& device,
                                                                     const LocalExecutorOptions& options) {
  absl::StatusOr<Decoder> decoder = describe_decoder(source);
  if (!decoder.ok()) return decoder.status();
  std::unique_ptr<LocalExecutor> executor(new LocalExecutor(*decoder, device));
  absl::Status status = executor->load(source, options);
  if (!status.ok()) return status;
  return executor;
}

absl::Status LocalExecutor::load(const ModelSource& source, const LocalExecutorOptions& options) {
  const ModelConfig& c = decoder_.config;
  floor_ = options.floor;
  context_ = options.max_context > 0 ? std::min(options.max_context, c.context) : c.context;
  auto weights = Weights::load(source, decoder_, options.modes, device_,
                               {.threads = options.threads,
                                .progress = options.progress,
                                .pack_cache = options.pack_cache,
                                .warn = options.warn});
  if (!weights.ok()) return weights.status();
  weights_ = *std::move(weights);
  auto transformer =
      Transformer::create(source, decoder_, device_, context_, options.max_step_tokens, options.logit_rows);
  if (!transformer.ok()) return transformer.status();
  transformer_ = *std::move(transformer);
  absl::Status status = make_pages(options);
  if (!status.ok()) return status;
  describe(source, options);
  return warm_up();
}

// One page size for all modes: the smallest that holds a page of each.
absl::Status LocalExecutor::make_pages(const LocalExecutorOptions& options) {
  for (size_t i = 0; i < options.modes.size(); ++i) {
    layouts_.push_back(mode_kv_layout(decoder_.config, weights_->mode(i), options.modes[i].kv));
    page_bytes_ = std::max<uint64_t>(page_bytes_, layouts_.back().page_bytes);
  }
  for (KvLayout& layout : layouts_) layout.page_bytes = page_bytes_;
  pages_ = static_cast<int64_t>(options.kv_bytes / page_bytes_);
  if (pages_ < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("--kv-bytes ", options.kv_bytes, " holds less than two pages of ", page_bytes_, " bytes"));
  }
  arena_ = device_.allocate(static_cast<size_t>(pages_) * page_bytes_, {"shared", MemoryCategory::kKvCache});
  if (!arena_)
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for ", pages_ * static_cast<int64_t>(page_bytes_), " bytes of KV pages"));
  return absl::OkStatus();
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
    facts.kernel = std::string(device_.kernel_name());
    facts.weights_digest = weights_digest(source.digest, mode.recipe);
    facts.bits_per_weight = weights.bits_per_weight;
    facts.own_bytes = weights.own_bytes;
    facts.shared_bytes = weights.shared_bytes;
    facts.footprint_bytes = weights.own_bytes + weights.shared_bytes + workspace + arena_.bytes();
    facts.page_tokens = layout.page_tokens;
    facts.page_padding_bytes = page_bytes_ - layout.used_bytes();
    facts.kv_bytes_per_token = layout.used_bytes() / static_cast<uint64_t>(layout.page_tokens);
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
