// Sequences that have no pages yet, or no more: by mode, in the order of runs_before(). Owns none of them. Engine
// thread only.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "server/scheduler/sequence.h"

namespace halftone {

class WaitingQueue {
 public:
  explicit WaitingQueue(int64_t modes) : modes_(modes) {}

  void add(Sequence& sequence);
  void remove(Sequence& sequence);
  Sequence* first(ModeIndex mode) const;  // null when none waits

  int64_t size(ModeIndex mode) const { return static_cast<int64_t>(modes_[mode].order.size()); }
  int64_t tokens(ModeIndex mode) const { return modes_[mode].tokens; }  // that have to be computed
  int64_t total_size() const { return total_size_; }
  void check_invariants() const;

 private:
  struct RunsBefore {
    bool operator()(const Sequence* a, const Sequence* b) const { return runs_before(*a, *b); }
  };
  struct ModeQueue {
    std::set<Sequence*, RunsBefore> order;
    int64_t tokens = 0;
  };

  std::vector<ModeQueue> modes_;
  int64_t total_size_ = 0;
};

}  // namespace halftone
