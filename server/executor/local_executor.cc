#include "server/executor/local_executor.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "kernels/contract/check.h"
#include "kernels/kv/kv.h"
#include "server/executor/sampler.h"
#include "server/executor/whole_row.h"

namespace halftone {
namespace {

Nanoseconds now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

int64_t LocalExecutor::tokens_for(ModeIndex mode, Nanoseconds budget) const {
  return std::min(costs_[static_cast<size_t>(mode)].tokens_for(budget), max_step_tokens());
}

Nanoseconds LocalExecutor::prefill_time(ModeIndex mode, int64_t tokens) const {
  int64_t step = max_step_tokens();
  const CostModel& cost = costs_[static_cast<size_t>(mode)];
  return tokens / step * cost.step_time(step) + (tokens % step > 0 ? cost.step_time(tokens % step) : 0);
}

LocalExecutor::~LocalExecutor() {
  if (arena_)
    report_page_use(
        std::vector<int64_t>(layouts_.size(), 0));  // the arena leaves the ledger under the name it came with
}

void LocalExecutor::report_page_use(std::span<const int64_t> by_mode) {
  Ledger& ledger = device_.ledger();
  uint64_t used = 0;
  for (size_t mode = 0; mode < facts_.size(); ++mode) {
    const KvLayout& layout = layouts_[mode];
    uint64_t pages = static_cast<uint64_t>(by_mode[mode]);
    uint64_t codes = pages * layout.code_bytes();
    uint64_t padding = pages * facts_[mode].page_padding_bytes;
    ledger.set({facts_[mode].id, MemoryCategory::kKvCache}, codes);
    ledger.set({facts_[mode].id, MemoryCategory::kKvScales}, pages * page_bytes_ - codes - padding);
    ledger.set({facts_[mode].id, MemoryCategory::kKvPadding}, padding);
    used += pages * page_bytes_;
  }
  ledger.set({"shared", MemoryCategory::kKvCache}, arena_.bytes() - used);
}

absl::Status LocalExecutor::submit(const StepInput& input) {
  HALFTONE_CHECK(submitted_ == nullptr);
  submitted_ = &input;
  return absl::OkStatus();
}

absl::Status LocalExecutor::device_status() const {
  const std::string error = device_.error();
  return error.empty() ? absl::OkStatus() : absl::InternalError(error);
}

absl::StatusOr<StepOutput> LocalExecutor::wait() {
  HALFTONE_CHECK(submitted_ != nullptr);
  const StepInput& input = *submitted_;
  submitted_ = nullptr;
  Nanoseconds start = now();
  std::vector<int32_t> tokens;
  std::vector<AttentionSequence> sequences;
  size_t rows = 0;
  for (const StepSequence& s : input.sequences) {
    sequences.push_back(
        {static_cast<int64_t>(tokens.size()), static_cast<int64_t>(s.tokens.size()), s.first_position, s.pages});
    tokens.insert(tokens.end(), s.tokens.begin(), s.tokens.end());
    rows += s.rows.size();
  }
  bool decode = tokens.size() == sequences.size();
  device_.ledger().set_stage(decode ? MemoryStage::kDecode : MemoryStage::kPrefill);
  ForwardBatch batch{tokens, sequences, &layouts_[static_cast<size_t>(input.kv)], arena_.data()};
  transformer_->forward(weights_->mode(static_cast<size_t>(input.weights)), batch);
  StepOutput output;
  output.rows.reserve(rows);
  run_rows(input, sequences, &output);
  clamped_values_ += device_.take_clamped();
  if (absl::Status status = device_status(); !status.ok()) return status;
  output.device_time = now() - start;
  count_work(input, rows, &output);
  costs_[static_cast<size_t>(input.weights)].observe(static_cast<int64_t>(tokens.size()), output.device_time);
  return output;
}

// Rows of logits are made and reduced in pieces: never [tokens, vocabulary].
void LocalExecutor::run_rows(const StepInput& input, const std::vector<AttentionSequence>& sequences,
                             StepOutput* output) {
  const ModeWeights& weights = weights_->mode(static_cast<size_t>(input.weights));
  std::vector<const LogitRow*> rows;
  std::vector<int64_t> tokens, positions;
  auto flush = [&] {
    if (rows.empty()) return;
    reduce_rows(rows, positions, transformer_->logits(weights, tokens), output);
    rows.clear();
    tokens.clear();
    positions.clear();
  };
  for (size_t s = 0; s < sequences.size(); ++s) {
    for (const LogitRow& row : input.sequences[s].rows) {
      rows.push_back(&row);
      tokens.push_back(sequences[s].first_token + row.token);
      positions.push_back(sequences[s].first_position + row.token);
      if (static_cast<int64_t>(rows.size()) == transformer_->logit_rows()) flush();
    }
  }
  flush();
}

void LocalExecutor::reduce_rows(std::span<const LogitRow* const> rows, std::span<const int64_t> positions,
                                Tensor logits, StepOutput* output) {
  std::vector<LogitReduction> reductions(rows.size());
  std::vector<std::vector<LogitEdit>> edits(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const LogitRow& row = *rows[i];
    LogitReduction& r = reductions[i];
    r.logits = logits.f32(static_cast<int64_t>(i));
    r.vocabulary = logits.cols;
    r.raw_best = row.top;
    r.target = row.target;
    if (row.sampling == nullptr) continue;
    edits[i] = make_edits(row, r.vocabulary);
    r.edits = edits[i];
    r.inverse_temperature = inverse_temperature(*row.sampling);
    r.edited_best = is_greedy(*row.sampling) ? 1 : std::min(kSampleCandidates, r.vocabulary);
  }
  device_.reduce_logits(reductions);
  if (!device_status().ok()) return;
  const std::vector<LogitCandidate> drawn = draw_tokens(rows, positions, reductions);
  if (!device_status().ok()) return;
  for (size_t i = 0; i < rows.size(); ++i) output->rows.push_back(pick(*rows[i], reductions[i], drawn[i]));
}

std::vector<LogitCandidate> LocalExecutor::draw_tokens(std::span<const LogitRow* const> rows,
                                                       std::span<const int64_t> positions,
                                                       std::span<const LogitReduction> reductions) {
  std::vector<LogitCandidate> drawn(rows.size());
  std::vector<size_t> beyond;
  for (size_t i = 0; i < rows.size(); ++i) {
    const LogitReduction& r = reductions[i];
    if (rows[i]->sampling == nullptr || !r.finite) continue;
    // Fewer than asked for: the others are -infinity.
    const bool complete = static_cast<int64_t>(r.edited.size()) < r.edited_best || r.edited_best == r.vocabulary;
    if (auto index = choose(*rows[i]->sampling, positions[i], r.edited, complete, r.edited_logsumexp)) {
      drawn[i] = r.edited[*index];
    } else {
      beyond.push_back(i);
    }
  }
  draw_beyond(rows, positions, reductions, beyond, &drawn);
  return drawn;
}

// Draws that fall beyond the best candidates.
void LocalExecutor::draw_beyond(std::span<const LogitRow* const> rows, std::span<const int64_t> positions,
                                std::span<const LogitReduction> reductions, const std::vector<size_t>& which,
                                std::vector<LogitCandidate>* drawn) {
  const auto draw_from = [&](size_t i, const float* logits) {
    const LogitReduction& r = reductions[i];
    const std::span<const float> row(logits, static_cast<size_t>(r.vocabulary));
    (*drawn)[i] = choose_from_row(*rows[i]->sampling, positions[i], row, r.edits, r.edited[0].logit);
  };
  if (device_.memory_is_hosts()) {
    device_.on_host(static_cast<int64_t>(which.size()), [&](int64_t item) {
      const size_t i = which[static_cast<size_t>(item)];
      draw_from(i, reductions[i].logits);
    });
    return;
  }
  for (size_t i : which) {
    host_row_.resize(static_cast<size_t>(reductions[i].vocabulary));
    device_.download(std::as_writable_bytes(std::span(host_row_)),
                     reinterpret_cast<const std::byte*>(reductions[i].logits));
    if (!device_status().ok()) return;
    draw_from(i, host_row_.data());
  }
}

RowResult LocalExecutor::pick(const LogitRow& row, const LogitReduction& r, const LogitCandidate& drawn) const {
  RowResult result;
  result.logsumexp = r.logsumexp;
  result.finite = r.finite;
  if (!r.finite) return result;
  for (const LogitCandidate& c : r.raw) result.top.push_back({c.id, c.logit - r.logsumexp});
  LogitCandidate token{.id = row.target, .raw = r.target_logit};
  if (row.sampling != nullptr) token = drawn;
  result.token = token.id;
  if (result.token < 0) return result;
  result.logprob = token.raw - r.logsumexp;
  result.rank = r.target_rank;
  if (row.top > 0 && row.target != result.token) result.rank = device_.rank(r.logits, r.vocabulary, result.token);
  return result;
}

// What attention does in one layer: positions that tokens look at, and those that are read for it.
struct LocalExecutor::Seen {
  double looked_at = 0, stored = 0;
};

LocalExecutor::Seen LocalExecutor::seen_through(int64_t window, const StepInput& input) const {
  if (window == 0) window = spec_.context;
  Seen seen;
  for (const StepSequence& s : input.sequences) {
    const double n = static_cast<double>(s.tokens.size()), first = static_cast<double>(s.first_position);
    for (int64_t i = 0; i < static_cast<int64_t>(s.tokens.size()); ++i) {
      seen.looked_at += static_cast<double>(std::min(s.first_position + i + 1, window));
    }
    // Read once for a chunk, however many tokens look at it.
    seen.stored += std::min(first + n, n - 1 + static_cast<double>(window));
  }
  return seen;
}

void LocalExecutor::count_work(const StepInput& input, size_t rows, StepOutput* output) const {
  const ModeWeights& weights = weights_->mode(static_cast<size_t>(input.weights));
  double tokens = 0;
  for (const StepSequence& s : input.sequences) tokens += static_cast<double>(s.tokens.size());
  Work work;
  for (int kind = 0; kind < kArithmetics; ++kind) work.operations[kind] = 2 * tokens * weights.body_products[kind];
  work.operations[static_cast<int>(weights.head_arithmetic)] +=
      2 * static_cast<double>(rows) * static_cast<double>(weights.head_values);
  work.bytes = static_cast<double>(weights.body_bytes) + (rows > 0 ? static_cast<double>(weights.head_bytes) : 0);
  const KvLayout& layout = layouts_[static_cast<size_t>(input.kv)];
  std::map<int64_t, Seen> by_window;
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    const LayerSpec& layer = spec_.layers[static_cast<size_t>(weights.layers[i].layer)];
    const double kv = static_cast<double>(layout.layers[i].bytes) / static_cast<double>(layout.page_tokens);
    auto [place, is_new] = by_window.try_emplace(layer.window);
    if (is_new) place->second = seen_through(layer.window, input);
    const Seen& seen = place->second;
    work.operations[static_cast<int>(Arithmetic::kF32)] += 4 * static_cast<double>(layer.q_size()) * seen.looked_at;
    work.bytes += (seen.stored + tokens) * kv;
  }
  work.bytes += static_cast<double>(device_.take_experts_read()) * weights.expert_bytes;
  output->flops = work.all_operations();
  output->bytes_moved = work.bytes;
  output->floor_seconds = roofline_.seconds(work);
}

}  // namespace halftone
