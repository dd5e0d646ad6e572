#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_context.h"

namespace halftone {
namespace {

bool better(const LogitCandidate& a, const LogitCandidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

// The best `wanted` logits of a row by a heap whose root is the worst that is kept.
class Best {
 public:
  Best(const float* row, int64_t wanted) : row_(row), wanted_(static_cast<size_t>(wanted)) { heap_.reserve(wanted_); }

  std::vector<LogitCandidate> of(const CpuOps& ops, int64_t n) {
    if (wanted_ == 0) return {};
    ops.scan_greater(
        row_, n, &than_, [](void* self, int64_t index) { static_cast<Best*>(self)->add(index); }, this);
    std::sort(heap_.begin(), heap_.end(), better);
    return std::move(heap_);
  }

 private:
  void add(int64_t index) {
    if (heap_.size() == wanted_) {
      std::pop_heap(heap_.begin(), heap_.end(), better);
      heap_.pop_back();
    }
    heap_.push_back({static_cast<int32_t>(index), row_[index], row_[index]});
    std::push_heap(heap_.begin(), heap_.end(), better);
    if (heap_.size() == wanted_) than_ = heap_.front().logit;  // equal ones come later, with a greater id: they lose
  }

  const float* row_;
  size_t wanted_;
  float than_ = -HUGE_VALF;
  std::vector<LogitCandidate> heap_;
};

float logsumexp(const CpuOps& ops, const float* row, int64_t n, float scale) {
  float maximum = ops.maximum(row, n) * scale;
  float sum = ops.sum_exp(row, n, scale, maximum);
  return static_cast<float>(static_cast<double>(maximum) + std::log(static_cast<double>(sum)));
}

// The best of the edited row; after all others those that an edit made -infinity.
std::vector<LogitCandidate> edited_best(const CpuOps& ops, const LogitReduction& r, const std::vector<float>& row) {
  const auto wanted = static_cast<size_t>(std::min(r.edited_best, r.vocabulary));
  std::vector<LogitCandidate> best = Best(row.data(), static_cast<int64_t>(wanted)).of(ops, r.vocabulary);
  for (LogitCandidate& c : best) c.raw = r.logits[c.id];
  for (const LogitEdit& e : r.edits) {
    if (best.size() == wanted) break;
    if (row[static_cast<size_t>(e.id)] == -HUGE_VALF) best.push_back({e.id, -HUGE_VALF, r.logits[e.id]});
  }
  return best;
}

void reduce_edited(const CpuOps& ops, LogitReduction& r) {
  std::vector<float> row(r.logits, r.logits + r.vocabulary);
  for (const LogitEdit& e : r.edits) row[static_cast<size_t>(e.id)] = e.apply(r.logits[e.id]);
  r.edited = edited_best(ops, r, row);
  if (r.inverse_temperature != 0) r.edited_logsumexp = logsumexp(ops, row.data(), r.vocabulary, r.inverse_temperature);
}

void reduce(const CpuOps& ops, LogitReduction& r) {
  int64_t n = r.vocabulary;
  r.logsumexp = logsumexp(ops, r.logits, n, 1);
  r.finite = std::isfinite(r.logsumexp);
  if (!r.finite) return;
  if (r.target >= 0) {
    r.target_logit = r.logits[r.target];
    r.target_rank = static_cast<uint32_t>(1 + ops.count_greater(r.logits, n, r.target_logit));
  }
  const bool edits = !r.edits.empty() && r.edited_best > 0;
  const int64_t wanted = std::min(n, std::max(r.raw_best, edits ? 0 : r.edited_best));
  std::vector<LogitCandidate> best = Best(r.logits, wanted).of(ops, n);
  const auto first = [&](int64_t count) { return best.begin() + std::min(count, static_cast<int64_t>(best.size())); };
  r.raw.assign(best.begin(), first(r.raw_best));
  if (r.edited_best == 0) return;
  if (edits) return reduce_edited(ops, r);
  r.edited.assign(best.begin(), first(r.edited_best));
  if (r.inverse_temperature == 0) return;
  r.edited_logsumexp = r.inverse_temperature == 1 ? r.logsumexp : logsumexp(ops, r.logits, n, r.inverse_temperature);
}

}  // namespace

void cpu_reduce_logits(const CpuContext& context, std::span<LogitReduction> rows) {
  context.pool.run(static_cast<int64_t>(rows.size()),
                   [&](int64_t item, int) { reduce(context.ops(), rows[static_cast<size_t>(item)]); });
}

}  // namespace halftone
