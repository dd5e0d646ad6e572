#include "kernels/cuda/logit_reducer.h"

#include <algorithm>
#include <cmath>

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

float logsumexp(float max, float sum) {
  return static_cast<float>(static_cast<double>(max) + std::log(static_cast<double>(sum)));
}

// Takes over some more candidates. Returns whether the row has others.
bool take(const RowCandidates& from, int64_t asked, int64_t* missing, Rank* below, std::vector<LogitCandidate>* to) {
  to->insert(to->end(), from.best, from.best + from.count);
  *missing -= from.count;
  *below = from.last;
  return from.count == asked;
}

int32_t at_once(int64_t missing) { return static_cast<int32_t>(std::min<int64_t>(missing, kMostCandidates)); }

}  // namespace

bool LogitReducer::send_edits(std::span<const LogitReduction> rows) {
  size_t count = 0;
  for (const LogitReduction& row : rows) count += row.edits.size();
  edits_.reserve(std::max<size_t>(count, 1));
  saved_.reserve(std::max<size_t>(count, 1));
  if (!stream_.ok()) return false;
  edits_.wait_for_upload();
  LogitEdit* next = edits_.host();
  for (const LogitReduction& row : rows) next = std::copy(row.edits.begin(), row.edits.end(), next);
  if (count > 0) edits_.upload(count);
  return stream_.ok();
}

bool LogitReducer::ask(std::span<const LogitReduction> rows, std::span<const Missing> missing) {
  requests_.reserve(rows.size());
  answers_.reserve(rows.size());
  if (!stream_.ok()) return false;
  requests_.wait_for_upload();
  int32_t edits = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const LogitReduction& row = rows[i];
    RowRequest request;
    request.logits = const_cast<float*>(row.logits);
    request.vocabulary = static_cast<int32_t>(row.vocabulary);
    request.target = row.target;
    request.edits_begin = edits;
    request.edits = static_cast<int32_t>(row.edits.size());
    request.inverse_temperature = row.inverse_temperature;
    request.raw_best = at_once(missing[i].raw);
    request.edited_best = at_once(missing[i].edited);
    request.raw_below = missing[i].raw_below;
    request.edited_below = missing[i].edited_below;
    requests_.host()[i] = request;
    edits += request.edits;
  }
  requests_.upload(rows.size());
  stream_.check(reduce_rows(requests_.device(), static_cast<int>(rows.size()), edits_.device(), saved_.device(),
                            answers_.device(), stream_.get()),
                "reducing logits");
  answers_.download(rows.size());
  return stream_.synchronize();
}

void LogitReducer::reduce(std::span<LogitReduction> rows) {
  std::vector<Missing> missing;
  for (LogitReduction& row : rows) {
    row.raw.clear(), row.edited.clear();
    row.finite = false;
    missing.push_back({std::min(row.raw_best, row.vocabulary), std::min(row.edited_best, row.vocabulary)});
  }
  if (!send_edits(rows)) return;
  for (bool more = true; more;) {
    if (!ask(rows, missing)) return;
    more = false;
    for (size_t i = 0; i < rows.size(); ++i) {
      LogitReduction& row = rows[i];
      const RowAnswer& answer = answers_.host()[i];
      row.logsumexp = logsumexp(answer.max, answer.sum);
      row.finite = std::isfinite(row.logsumexp);
      if (!row.finite) continue;
      row.target_logit = answer.target_logit;
      row.target_rank = answer.target_rank;
      Missing& left = missing[i];
      if (left.edited > 0) row.edited_logsumexp = logsumexp(answer.edited_max, answer.edited_sum);
      const int32_t raw = at_once(left.raw), edited = at_once(left.edited);
      if (raw > 0 && !take(answer.raw, raw, &left.raw, &left.raw_below, &row.raw)) left.raw = 0;
      if (edited > 0 && !take(answer.edited, edited, &left.edited, &left.edited_below, &row.edited)) left.edited = 0;
      more = more || left.raw > 0 || left.edited > 0;
    }
  }
}

uint32_t LogitReducer::rank(const float* logits, int64_t vocabulary, int32_t id) {
  rank_.reserve(1);
  if (!stream_.ok()) return 0;
  stream_.check(rank_of(logits, static_cast<int32_t>(vocabulary), id, rank_.device(), stream_.get()),
                "ranking a logit");
  rank_.download(1);
  return stream_.synchronize() ? rank_.host()[0] : 0;
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
