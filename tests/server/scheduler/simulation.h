// A whole life of a scheduler, driven by a seed: random arrivals, lengths, priorities, salts, shared prefixes, cancels
// at any moment, early ends and failed steps, over several modes. Beside it stands a model of the KV memory in which
// the value at a position depends on every token before it, as real keys and values do. A step reads the values before
// its chunk through its page table and writes its own, and a sequence's tokens come from what it read: so any mix-up of
// pages shows in the text.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <vector>

#include "server/scheduler/scheduler.h"

namespace halftone {

struct SimulationConfig {
  SchedulerConfig scheduler;
  int64_t arrivals_percent = 30;  // per step
  int64_t queue_requests = 24;    // nobody arrives while more wait
  int64_t queue_tokens = 400;     // or more tokens of prompts
  int64_t longest = 40;           // tokens of a sequence
  int64_t budget = 24;            // tokens of a step at most
};

class Simulation {
 public:
  Simulation(SimulationConfig config, uint64_t seed);

  void step();   // events, then one step of a mode that has work
  void drain();  // no more arrivals and cancels, until nothing is alive

  int64_t finished() const { return finished_; }
  int64_t preemptions() const { return preemptions_; }
  int64_t hit_tokens() const;
  int64_t alive() const { return static_cast<int64_t>(requests_.size()); }
  Scheduler& scheduler() { return scheduler_; }

 private:
  struct Lived {
    SequenceSpec spec;
    std::vector<int32_t> generated;
    int64_t wanted = 0;  // ends with that many generated ones
    Nanoseconds arrived_at = 0;
  };

  int64_t draw(int64_t below) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(below)); }
  bool stands_before(SequenceId a, SequenceId b) const;
  bool queue_is_full(int64_t prompt_tokens) const;
  void arrive();
  void cancel_one();
  bool run_mode(ModeIndex mode);
  void check_plan(const StepPlan& plan, const std::vector<SequenceId>& waited, int64_t budget, int64_t least);
  void check_order(const StepPlan& plan, const std::vector<SequenceId>& waited);
  uint64_t compute(const StepPlan& plan, const PlannedSequence& planned, bool fails);
  StepResult result_for(const PlannedSequence& planned, uint64_t last_value);
  uint64_t& value_at(const StepPlan& plan, const PlannedSequence& planned, int64_t position);
  void finish(SequenceId id);
  uint64_t root(const SequenceSpec& spec) const;

  const SimulationConfig config_;
  std::mt19937_64 random_;
  Scheduler scheduler_;
  std::map<SequenceId, Lived> requests_;        // the living ones
  std::vector<std::vector<uint64_t>> memory_;   // [pages][largest page_tokens]
  std::vector<std::vector<int32_t>> prefixes_;  // that prompts share
  Nanoseconds now_ = 0;
  int64_t finished_ = 0;
  int64_t preemptions_ = 0;
  bool draining_ = false;
};

}  // namespace halftone
