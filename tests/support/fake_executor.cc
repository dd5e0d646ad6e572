#include "tests/support/fake_executor.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <thread>

#include "kernels/contract/check.h"

namespace halftone {
namespace {

uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9E3779B97F4A7C15ull;
  return hash ^ (hash >> 29);
}

uint64_t start_hash(ModeIndex mode) { return mix(0x68616C66746F6E65ull, static_cast<uint64_t>(mode) + 1); }

uint64_t float_bits(float value) { return std::bit_cast<uint32_t>(value); }

// Every parameter that may change a draw changes the hash; greedy without penalties and biases leaves it alone.
uint64_t sampling_hash(const LogitRow& row, size_t position, uint64_t hash) {
  const SamplingParams& sampling = *row.sampling;
  if (sampling.temperature > 0) {
    for (float value : {sampling.temperature, sampling.top_p, sampling.min_p}) hash = mix(hash, float_bits(value));
    hash = mix(mix(mix(hash, sampling.top_k), sampling.seed), position);
  }
  if (sampling.penalizes()) {
    for (float value : {sampling.repetition_penalty, sampling.presence_penalty, sampling.frequency_penalty}) {
      hash = mix(hash, float_bits(value));
    }
    uint64_t sum = 0;  // the order of counts means nothing
    for (const TokenCount& count : row.counts) {
      sum += mix(mix(static_cast<uint64_t>(count.id), count.in_prompt), static_cast<uint64_t>(count.in_output));
    }
    hash = mix(hash, sum);
  }
  for (const auto& [id, bias] : sampling.logit_bias) hash = mix(mix(hash, static_cast<uint64_t>(id)), float_bits(bias));
  return hash;
}

int32_t forced_token(const SamplingParams& sampling) {
  for (const auto& [id, bias] : sampling.logit_bias) {
    if (bias >= 50) return id;
  }
  return -1;
}

}  // namespace

FakeExecutor::FakeExecutor(FakeExecutorConfig config) : config_(std::move(config)) {
  for (const FakeMode& mode : config_.modes) {
    ModeFacts facts;
    facts.id = mode.id;
    facts.weights = "w4";
    facts.activations = "a16";
    facts.kv = mode.page_tokens > 16 ? "kv8" : "kv16";
    facts.import = "exact";
    facts.source_format = "gguf/Q4_1";
    facts.kernel = "fake";
    facts.weights_digest = "digest-of-" + mode.id;
    facts.bits_per_weight = 4.5;
    facts.own_bytes = facts.shared_bytes = 1 << 20;
    facts.footprint_bytes = 2 << 20;
    facts.page_tokens = mode.page_tokens;
    facts.kv_capacity_tokens = static_cast<uint64_t>(config_.pages * mode.page_tokens);
    facts.kv_bytes_per_token = config_.page_bytes / static_cast<uint64_t>(mode.page_tokens);
    facts_.push_back(facts);
    slots_per_page_ = std::max(slots_per_page_, mode.page_tokens);
  }
  slots_.resize(static_cast<size_t>(config_.pages * slots_per_page_));
}

int64_t FakeExecutor::tokens_for(ModeIndex mode, Nanoseconds budget) const {
  const FakeMode& fake = config_.modes[static_cast<size_t>(mode)];
  return std::max<int64_t>(1, (budget - fake.step_time) / std::max<Nanoseconds>(1, fake.token_time));
}

Nanoseconds FakeExecutor::prefill_time(ModeIndex mode, int64_t tokens) const {
  return tokens * config_.modes[static_cast<size_t>(mode)].token_time;
}

void FakeExecutor::report_page_use(std::span<const int64_t> by_mode) {
  HALFTONE_CHECK(by_mode.size() == config_.modes.size());
  int64_t held = 0;
  for (int64_t pages : by_mode) held += pages;
  HALFTONE_CHECK(held >= 0 && held <= config_.pages);
  held_pages_ = held;
}

FakeExecutor::Slot& FakeExecutor::slot(const StepInput& input, const StepSequence& sequence, int64_t position) {
  const int64_t page_tokens = config_.modes[static_cast<size_t>(input.kv)].page_tokens;
  const auto index = static_cast<size_t>(position / page_tokens);
  HALFTONE_CHECK(index < sequence.pages.size());
  const PageId page = sequence.pages[index];
  HALFTONE_CHECK(page >= 0 && page < config_.pages);
  return slots_[static_cast<size_t>(page * slots_per_page_ + position % page_tokens)];
}

void FakeExecutor::store(const StepInput& input, const StepSequence& sequence) {
  const auto count = static_cast<int64_t>(sequence.tokens.size());
  HALFTONE_CHECK(count > 0 && sequence.first_position >= 0 && sequence.first_position + count <= config_.context);
  for (int64_t i = 0; i < count; ++i) {
    const int32_t token = sequence.tokens[static_cast<size_t>(i)];
    HALFTONE_CHECK(token >= 0 && token < config_.vocabulary);
    Slot& target = slot(input, sequence, sequence.first_position + i);
    HALFTONE_CHECK(target.step != steps_);  // no two sequences of a step write to one place
    target = Slot{token, input.kv, steps_};
  }
}

int32_t FakeExecutor::best_token(ModeIndex mode, std::span<const int32_t> content, uint64_t hash) const {
  const int32_t chosen = chooser_ ? chooser_(mode, content) : -1;
  return chosen >= 0 ? chosen : static_cast<int32_t>(hash % static_cast<uint64_t>(config_.vocabulary));
}

RowResult FakeExecutor::row_result(const LogitRow& row, ModeIndex mode, std::span<const int32_t> content,
                                   uint64_t hash) const {
  const auto vocabulary = static_cast<int32_t>(config_.vocabulary);
  const int32_t best = best_token(mode, content, hash);
  RowResult result;
  result.token = row.target;
  if (row.sampling != nullptr) {
    const uint64_t drawn = sampling_hash(row, content.size(), hash);
    const int32_t forced = forced_token(*row.sampling);
    result.token = forced >= 0 ? forced : drawn == hash ? best : static_cast<int32_t>(drawn % config_.vocabulary);
    while (std::find(row.banned.begin(), row.banned.end(), result.token) != row.banned.end()) {
      result.token = (result.token + 1) % vocabulary;
    }
  }
  HALFTONE_CHECK(result.token >= 0 && result.token < vocabulary);
  // The raw row falls from the best token on, by id.
  result.rank = static_cast<uint32_t>((result.token - best + vocabulary) % vocabulary) + 1;
  result.logprob = -0.25f * static_cast<float>(result.rank);
  result.logsumexp = 10 + static_cast<float>(hash % 100) / 100;
  for (uint32_t i = 0; i < row.top && i < static_cast<uint32_t>(vocabulary); ++i) {
    result.top.push_back({static_cast<int32_t>((best + i) % vocabulary), -0.25f * static_cast<float>(i + 1)});
  }
  const int32_t poison = poison_;
  result.finite = poison < 0 || std::find(content.begin(), content.end(), poison) == content.end();
  return result;
}

void FakeExecutor::reduce(const StepInput& input, const StepSequence& sequence) {
  if (sequence.rows.empty()) return;
  std::vector<int32_t> content;
  uint64_t hash = start_hash(input.weights);
  auto row = sequence.rows.begin();
  const auto end = sequence.first_position + static_cast<int64_t>(sequence.tokens.size());
  for (int64_t position = 0; position < end && row != sequence.rows.end(); ++position) {
    const Slot& stored = slot(input, sequence, position);
    HALFTONE_CHECK(stored.token >= 0);  // nobody attends to what was never written
    content.push_back(stored.token);
    hash = mix(hash, static_cast<uint64_t>(stored.token));
    if (stored.kv != input.kv) hash = mix(hash, static_cast<uint64_t>(stored.kv) + 1);  // garbage, as it would be
    while (row != sequence.rows.end() && sequence.first_position + row->token == position) {
      if (observer_) observer_(*row);
      output_->rows.push_back(row_result(*row, input.weights, content, hash));
      ++row;
    }
  }
  HALFTONE_CHECK(row == sequence.rows.end());  // ascending, and inside the chunk
}

absl::Status FakeExecutor::submit(const StepInput& input) {
  HALFTONE_CHECK(!output_.has_value());
  HALFTONE_CHECK(!input.sequences.empty());
  pass_gate();
  ++steps_;
  output_.emplace();
  int64_t tokens = 0, rows = 0;
  for (const StepSequence& sequence : input.sequences) {
    store(input, sequence);
    tokens += static_cast<int64_t>(sequence.tokens.size());
    rows += static_cast<int64_t>(sequence.rows.size());
  }
  HALFTONE_CHECK(tokens <= config_.max_step_tokens);
  HALFTONE_CHECK(rows <= config_.max_step_rows);
  largest_step_rows_ = std::max<int64_t>(largest_step_rows_, rows);
  largest_step_tokens_ = std::max<int64_t>(largest_step_tokens_, tokens);
  for (const StepSequence& sequence : input.sequences) reduce(input, sequence);
  const FakeMode& mode = config_.modes[static_cast<size_t>(input.weights)];
  output_->device_time = mode.step_time + tokens * mode.token_time;
  output_->flops = 1e6 * static_cast<double>(tokens);
  output_->bytes_moved = 1e5 + 1e3 * static_cast<double>(tokens);
  return absl::OkStatus();
}

absl::StatusOr<StepOutput> FakeExecutor::wait() {
  HALFTONE_CHECK(output_.has_value());
  StepOutput output = std::move(*output_);
  output_.reset();
  if (config_.sleeps) std::this_thread::sleep_for(std::chrono::nanoseconds(output.device_time));
  if (config_.clock != nullptr) config_.clock->advance(output.device_time);
  if (steps_ >= fail_at_step_) return absl::InternalError("the fake device fell off the bus");
  return output;
}

std::vector<int32_t> FakeExecutor::answer(ModeIndex mode, std::vector<int32_t> prompt, int64_t tokens) const {
  uint64_t hash = start_hash(mode);
  for (int32_t token : prompt) hash = mix(hash, static_cast<uint64_t>(token));
  std::vector<int32_t> answer;
  for (int64_t i = 0; i < tokens; ++i) {
    answer.push_back(best_token(mode, prompt, hash));
    prompt.push_back(answer.back());
    hash = mix(hash, static_cast<uint64_t>(answer.back()));
  }
  return answer;
}

void FakeExecutor::hold() {
  std::lock_guard lock(gate_mutex_);
  gate_closed_ = true;
}

void FakeExecutor::release() {
  std::lock_guard lock(gate_mutex_);
  gate_closed_ = false;
  gate_moved_.notify_all();
}

void FakeExecutor::let_one_pass() {
  std::lock_guard lock(gate_mutex_);
  HALFTONE_CHECK(held_);
  held_ = false;
  ++passes_;
  gate_moved_.notify_all();
}

void FakeExecutor::wait_until_held() {
  std::unique_lock lock(gate_mutex_);
  gate_moved_.wait(lock, [this] { return held_; });
}

void FakeExecutor::pass_gate() {
  std::unique_lock lock(gate_mutex_);
  held_ = gate_closed_;
  gate_moved_.notify_all();
  gate_moved_.wait(lock, [this] { return !gate_closed_ || passes_ > 0; });
  if (gate_closed_) --passes_;
  held_ = false;
}

}  // namespace halftone
