#include "tests/server/scheduler/simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "server/scheduler/sequence.h"

namespace halftone {
namespace {

uint64_t next_value(uint64_t before, int32_t token) {
  uint64_t value = (before ^ static_cast<uint32_t>(token)) * 0x9e3779b97f4a7c15u;
  return value ^ (value >> 29);
}

int32_t token_from(uint64_t value) { return static_cast<int32_t>((value >> 40) % 3); }

}  // namespace

Simulation::Simulation(SimulationConfig config, uint64_t seed)
    : config_(std::move(config)), random_(seed), scheduler_(config_.scheduler) {
  const std::vector<int64_t>& sizes = config_.scheduler.page_tokens;
  memory_.assign(config_.scheduler.pages, std::vector<uint64_t>(*std::max_element(sizes.begin(), sizes.end()), 0));
  for (int i = 0; i < 3; ++i) {
    std::vector<int32_t> prefix(config_.longest);
    for (int32_t& token : prefix) token = static_cast<int32_t>(draw(3));
    prefixes_.push_back(prefix);
  }
}

bool Simulation::stands_before(SequenceId a, SequenceId b) const {
  const Lived &first = requests_.at(a), &second = requests_.at(b);
  const Nanoseconds first_place = first.arrived_at - first.spec.priority * kPriorityPoint;
  const Nanoseconds second_place = second.arrived_at - second.spec.priority * kPriorityPoint;
  return first_place != second_place ? first_place < second_place : a < b;
}

uint64_t Simulation::root(const SequenceSpec& spec) const {
  return std::hash<std::string>()(spec.cache_salt) * 31 + static_cast<uint64_t>(spec.mode);
}

int64_t Simulation::hit_tokens() const {
  int64_t hits = 0;
  for (size_t mode = 0; mode < config_.scheduler.page_tokens.size(); ++mode) {
    hits += scheduler_.prefix_cache_counts(static_cast<ModeIndex>(mode)).hit_tokens;
  }
  return hits;
}

bool Simulation::queue_is_full(int64_t prompt_tokens) const {
  int64_t waiting = 0, tokens = prompt_tokens;
  for (size_t mode = 0; mode < config_.scheduler.page_tokens.size(); ++mode) {
    waiting += scheduler_.waiting(static_cast<ModeIndex>(mode));
    tokens += scheduler_.waiting_tokens(static_cast<ModeIndex>(mode));
  }
  return waiting >= config_.queue_requests || tokens > config_.queue_tokens;
}

void Simulation::arrive() {
  SequenceSpec spec;
  spec.mode = static_cast<ModeIndex>(draw(static_cast<int64_t>(config_.scheduler.page_tokens.size())));
  spec.priority = draw(4) == 0 ? static_cast<int32_t>(draw(3)) : 0;
  spec.cache_salt = std::vector<std::string>{"", "", "tenant", "other"}[draw(4)];
  spec.use_prefix_cache = draw(8) != 0;
  const int64_t length = 1 + draw(config_.longest - 1);
  const std::vector<int32_t>& prefix = prefixes_[draw(static_cast<int64_t>(prefixes_.size()))];
  spec.prompt.assign(prefix.begin(), prefix.begin() + draw(length + 1));
  while (static_cast<int64_t>(spec.prompt.size()) < length) spec.prompt.push_back(static_cast<int32_t>(draw(3)));
  spec.max_tokens = length + draw(config_.longest - length + 1);

  if (queue_is_full(length)) return;
  Lived request;
  request.spec = spec;
  request.wanted = spec.max_tokens - length;
  request.arrived_at = now_;
  if (const auto id = scheduler_.add(std::move(spec), now_)) {
    ASSERT_TRUE(requests_.emplace(*id, std::move(request)).second) << "an id came twice";
  }
}

void Simulation::cancel_one() {
  if (requests_.empty()) return;
  const auto victim = std::next(requests_.begin(), draw(alive()));
  scheduler_.cancel(victim->first);
  ASSERT_FALSE(scheduler_.alive(victim->first));
  requests_.erase(victim);
}

void Simulation::step() {
  now_ += draw(kPriorityPoint / 4);
  while (draw(100) < config_.arrivals_percent) arrive();
  if (draw(30) == 0) cancel_one();
  if (draw(500) == 0) scheduler_.drop_cache();
  scheduler_.check_invariants();

  // Starts at any mode; one that has work but finds no room lets the next try.
  const int64_t modes = static_cast<int64_t>(config_.scheduler.page_tokens.size());
  const int64_t start = draw(modes);
  bool ran = false;
  for (int64_t i = 0; i < modes && !ran; ++i) {
    const ModeIndex mode = static_cast<ModeIndex>((start + i) % modes);
    if (!scheduler_.has_work(mode)) continue;
    ran = run_mode(mode);
    // Its turn came to nothing, so it does not ask for another before something changes.
    ASSERT_NE(ran, !scheduler_.has_work(mode) && scheduler_.running(mode) + scheduler_.waiting(mode) > 0);
  }
  ASSERT_TRUE(ran || requests_.empty()) << "nothing goes on with " << alive() << " alive";
}

bool Simulation::run_mode(ModeIndex mode) {
  std::vector<SequenceId> waited;
  for (const auto& [id, request] : requests_) {
    if (request.spec.mode == mode && scheduler_.state(id).waiting) waited.push_back(id);
  }
  const int64_t budget = 1 + draw(config_.budget), least = draw(3);
  const StepPlan plan = scheduler_.plan(mode, budget, least);
  scheduler_.check_invariants();
  check_plan(plan, waited, budget, least);
  check_order(plan, waited);
  if (plan.empty()) return false;

  const bool fails = !draining_ && draw(50) == 0;
  while (!draining_ && draw(10) == 0) cancel_one();
  if (!draining_ && draw(10) == 0) arrive();
  std::vector<StepResult> results;
  for (const PlannedSequence& planned : plan.sequences) {
    const uint64_t last_value = compute(plan, planned, fails);
    if (fails && requests_.erase(planned.id) > 0) scheduler_.cancel(planned.id);
    results.push_back(result_for(planned, last_value));
  }
  scheduler_.check_invariants();
  scheduler_.accept(plan, results);
  scheduler_.check_invariants();
  for (const StepResult& result : results) {
    if (result.ended) finish(result.id);
  }
  return true;
}

void Simulation::check_plan(const StepPlan& plan, const std::vector<SequenceId>& waited, int64_t budget,
                            int64_t least) {
  ASSERT_EQ(plan.empty() && !plan.preempted.empty(), false) << "somebody was preempted for nobody";
  std::set<SequenceId> seen;
  std::set<PageId> written;
  int64_t tokens = 0;
  for (size_t i = 0; i < plan.sequences.size(); ++i) {
    const PlannedSequence& planned = plan.sequences[i];
    const Lived& request = requests_.at(planned.id);
    ASSERT_TRUE(seen.insert(planned.id).second);
    ASSERT_EQ(request.spec.mode, plan.mode);
    ASSERT_EQ(static_cast<int64_t>(planned.tokens.size()), planned.count);
    const int64_t size = static_cast<int64_t>(request.spec.prompt.size() + request.generated.size());
    ASSERT_EQ(planned.samples, planned.first + planned.count == size);
    const int64_t page_tokens = config_.scheduler.page_tokens[plan.mode];
    const int64_t end = planned.first + planned.count;
    ASSERT_EQ(static_cast<int64_t>(planned.pages.size()), (end + page_tokens - 1) / page_tokens);
    for (int64_t page = planned.first / page_tokens; page * page_tokens < end; ++page) {
      ASSERT_TRUE(written.insert(planned.pages[page]).second) << "two write to one page";
    }
    const bool decodes = static_cast<int64_t>(i) < plan.decode_sequences;
    if (decodes) {
      ASSERT_TRUE(planned.count == 1 && planned.samples && !request.generated.empty());
      ASSERT_EQ(std::count(waited.begin(), waited.end(), planned.id), 0);
    }
    tokens += planned.count;
  }
  for (const PlannedSequence& planned : plan.sequences) {
    const int64_t before = planned.first / config_.scheduler.page_tokens[plan.mode];
    for (int64_t page = 0; page < before; ++page) ASSERT_EQ(written.count(planned.pages[page]), 0u);
  }
  ASSERT_EQ(tokens, plan.tokens);
  // Those preempted may have used up a part of the budget as decodes.
  ASSERT_LE(tokens - plan.decode_sequences, std::max(budget - plan.decode_sequences, least));
  for (SequenceId id : plan.preempted) {
    ASSERT_TRUE(scheduler_.state(id).waiting);
    ASSERT_EQ(seen.count(id), 0u);
    ++preemptions_;
  }
}

void Simulation::check_order(const StepPlan& plan, const std::vector<SequenceId>& waited) {
  for (const PlannedSequence& planned : plan.sequences) {
    if (std::count(waited.begin(), waited.end(), planned.id) == 0) continue;
    for (SequenceId other : waited) {
      if (!scheduler_.state(other).waiting) continue;
      ASSERT_TRUE(stands_before(planned.id, other)) << planned.id << " overtook " << other;
    }
  }
  for (SequenceId victim : plan.preempted) {
    const bool is_for_one_before = std::any_of(plan.sequences.begin(), plan.sequences.end(),
                                               [&](const auto& planned) { return stands_before(planned.id, victim); });
    ASSERT_TRUE(is_for_one_before) << victim << " was preempted for one that stands behind it";
  }
}

uint64_t& Simulation::value_at(const StepPlan& plan, const PlannedSequence& planned, int64_t position) {
  const int64_t page_tokens = config_.scheduler.page_tokens[plan.mode];
  return memory_[planned.pages[position / page_tokens]][position % page_tokens];
}

// Writes also for those that were cancelled meanwhile: the step in flight knows nothing of it.
uint64_t Simulation::compute(const StepPlan& plan, const PlannedSequence& planned, bool fails) {
  const auto found = requests_.find(planned.id);
  if (found != requests_.end()) {
    const Lived& request = found->second;
    std::vector<int32_t> tokens = request.spec.prompt;
    tokens.insert(tokens.end(), request.generated.begin(), request.generated.end());
    uint64_t value = root(request.spec);
    for (int64_t i = 0; i < planned.first; ++i) {
      value = next_value(value, tokens[i]);
      EXPECT_EQ(value_at(plan, planned, i), value) << "sequence " << planned.id << " position " << i;
    }
    EXPECT_TRUE(std::equal(planned.tokens.begin(), planned.tokens.end(), tokens.begin() + planned.first));
    if (planned.first == 0) value_at(plan, planned, 0) = value;
  }
  const bool rubbish = fails || found == requests_.end();
  uint64_t value = rubbish              ? random_()
                   : planned.first == 0 ? value_at(plan, planned, 0)
                                        : value_at(plan, planned, planned.first - 1);
  for (int64_t i = 0; i < planned.count; ++i) {
    value = next_value(value, planned.tokens[i]);
    value_at(plan, planned, planned.first + i) = value;
  }
  return value;
}

StepResult Simulation::result_for(const PlannedSequence& planned, uint64_t last_value) {
  StepResult result{.id = planned.id};
  const auto found = requests_.find(planned.id);
  // What is said of a cancelled one does not matter.
  if (found == requests_.end()) {
    result.has_token = draw(2) == 0;
    return result;
  }
  Lived& request = found->second;
  const bool ends_early = draw(60) == 0;
  const bool is_full = static_cast<int64_t>(request.generated.size()) == request.wanted;
  if (planned.samples && !is_full) {
    result.has_token = true;
    result.token = token_from(last_value);
    request.generated.push_back(result.token);
  }
  result.ended = ends_early || (planned.samples && is_full);
  return result;
}

// The text must be what the sequence would have said alone.
void Simulation::finish(SequenceId id) {
  ASSERT_FALSE(scheduler_.alive(id));
  const auto found = requests_.find(id);
  ASSERT_NE(found, requests_.end());
  const Lived& request = found->second;
  uint64_t value = root(request.spec);
  for (int32_t token : request.spec.prompt) value = next_value(value, token);
  for (int32_t token : request.generated) {
    ASSERT_EQ(token, token_from(value)) << "sequence " << id;
    value = next_value(value, token);
  }
  requests_.erase(found);
  ++finished_;
}

void Simulation::drain() {
  const int64_t modes = static_cast<int64_t>(config_.scheduler.page_tokens.size());
  const int64_t most = 3 * config_.longest * alive();
  draining_ = true;
  for (int64_t steps = 0; !requests_.empty(); ++steps) {
    ASSERT_LE(steps, most) << "it takes too long to end: " << alive() << " alive";
    bool ran = false;
    for (ModeIndex mode = 0; mode < modes; ++mode) {
      if (scheduler_.has_work(mode)) ran |= run_mode(mode);
    }
    ASSERT_TRUE(ran || requests_.empty());
  }
}

}  // namespace halftone
