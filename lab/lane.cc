#include "lab/lane.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "kernels/contract/check.h"
#include "server/model/mode_kv_layout.h"

namespace halftone {

absl::StatusOr<std::unique_ptr<Lane>> Lane::create(const LaneModel& model, const LaneOptions& options) {
  HALFTONE_CHECK(options.step_tokens % kLaneRows == 0 && options.step_tokens <= model.max_tokens);
  std::unique_ptr<Lane> lane(new Lane(model.device, options));
  auto transformer = Transformer::create(model.source, model.device, model.window_tokens, model.max_tokens, kLaneRows);
  if (!transformer.ok()) return transformer.status();
  lane->transformer_ = *std::move(transformer);

  lane->layout_ = mode_kv_layout(model.source.spec, *options.weights, options.kv);
  const int64_t tokens = lane->layout_.page_tokens, pages = (model.window_tokens + tokens - 1) / tokens;
  const size_t bytes = static_cast<size_t>(pages) * lane->layout_.page_bytes;
  lane->arena_ = model.device.allocate(bytes, {"shared", MemoryCategory::kKvCache});
  if (!lane->arena_) return absl::ResourceExhaustedError(absl::StrCat("no memory for ", bytes, " bytes of KV pages"));
  lane->pages_.resize(static_cast<size_t>(pages));
  std::iota(lane->pages_.begin(), lane->pages_.end(), 0);
  if (options.pages_backwards) std::reverse(lane->pages_.begin(), lane->pages_.end());
  return lane;
}

void Lane::begin(std::span<const int32_t> window) {
  window_ = window;
  begin_ = end_ = 0;
}

void Lane::step() {
  begin_ = end_;
  end_ = std::min(begin_ + options_.step_tokens, static_cast<int64_t>(window_.size()));
  HALFTONE_CHECK(end_ > begin_);
  const int64_t count = end_ - begin_;
  if (options_.before_step) options_.before_step(begin_, {layout_, arena_.data(), pages_});
  const AttentionSequence sequence{0, count, begin_, pages_};
  const std::span<const int32_t> tokens = window_.subspan(static_cast<size_t>(begin_), static_cast<size_t>(count));
  transformer_->forward(*options_.weights, {tokens, {&sequence, 1}, &layout_, arena_.data()});
  clamped_ += device_.take_clamped();
}

Tensor Lane::logits(int64_t first, int64_t count) {
  HALFTONE_CHECK(count <= kLaneRows && first >= begin_);
  while (end_ < first + count) step();
  HALFTONE_CHECK(first >= begin_);
  std::array<int64_t, kLaneRows> tokens;
  std::iota(tokens.begin(), tokens.end(), first - begin_);
  const Tensor logits = transformer_->logits(*options_.weights, std::span(tokens).first(static_cast<size_t>(count)));
  if (device_.memory_is_hosts()) return logits;
  rows_.resize(static_cast<size_t>(kLaneRows * logits.cols));
  const Tensor rows = f32_tensor(rows_.data(), logits.rows, logits.cols);
  const size_t values = static_cast<size_t>(logits.rows * logits.cols);
  device_.download(std::as_writable_bytes(std::span(rows_).first(values)), static_cast<const std::byte*>(logits.data));
  return rows;
}

}  // namespace halftone
