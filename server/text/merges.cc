#include "server/text/merges.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "kernels/contract/check.h"

namespace halftone {
namespace {

constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
constexpr uint32_t kPairsBetweenLooks = 1 << 16;
constexpr TokenId kGone = -1;  // merged into its left neighbour

}  // namespace

void Merger::offer(const std::vector<TokenId>& symbols, uint32_t left) {
  if (left == kNone || next_[left] == kNone) return;
  const Merge* merge = table_.find(symbols[left], symbols[next_[left]]);
  if (merge != nullptr) queue_.push_back(uint64_t{merge->rank} << 32 | left);
}

void Merger::merge(std::vector<TokenId>& symbols) {
  HALFTONE_CHECK(symbols.size() < kNone);
  const auto count = static_cast<uint32_t>(symbols.size());
  if (count < 2) return;
  next_.resize(count);
  previous_.resize(count);
  for (uint32_t i = 0; i < count; ++i) {
    next_[i] = i + 1 < count ? i + 1 : kNone;
    previous_[i] = i > 0 ? i - 1 : kNone;
  }
  queue_.clear();
  for (uint32_t i = 0; i < count; ++i) offer(symbols, i);
  std::make_heap(queue_.begin(), queue_.end(), std::greater<>());
  for (uint32_t pairs = 1; !queue_.empty(); ++pairs) {
    if (pairs % kPairsBetweenLooks == 0 && stopped_ && stopped_()) break;
    std::pop_heap(queue_.begin(), queue_.end(), std::greater<>());
    const auto at = static_cast<uint32_t>(queue_.back()), rank = static_cast<uint32_t>(queue_.back() >> 32);
    queue_.pop_back();
    const uint32_t right = next_[at];
    if (symbols[at] == kGone || right == kNone) continue;
    // Neighbours may have changed since the pair was queued: it counts only if they still merge at its rank.
    const Merge* merge = table_.find(symbols[at], symbols[right]);
    if (merge == nullptr || merge->rank != rank) continue;
    symbols[at] = merge->merged;
    symbols[right] = kGone;
    next_[at] = next_[right];
    if (next_[right] != kNone) previous_[next_[right]] = at;
    for (const uint32_t left : {previous_[at], at}) {
      const size_t before = queue_.size();
      offer(symbols, left);
      if (queue_.size() > before) std::push_heap(queue_.begin(), queue_.end(), std::greater<>());
    }
  }
  std::erase(symbols, kGone);
}

}  // namespace halftone
