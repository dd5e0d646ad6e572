// Who can run, in the order of a seed. A warp goes on while it can, or for a while that the seed chooses, so that warps
// get far ahead of each other: in turns of single threads they would stay abreast, and what one does too early for
// another would not be seen.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace halftone::cuda_host::machine {

struct Thread;
struct Warp;

// Things in the order that they came.
template <typename T>
class Ring {
 public:
  explicit Ring(size_t capacity) : items_(std::bit_ceil(capacity)) {}

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  void push(T item) { at(size_++) = item; }
  T take(size_t place) {  // the first takes its place
    T item = at(place);
    at(place) = at(0);
    ++first_;
    --size_;
    return item;
  }

 private:
  T& at(size_t place) { return items_[(first_ + place) & (items_.size() - 1)]; }

  std::vector<T> items_;  // [a power of two]
  size_t first_ = 0, size_ = 0;
};

class RunQueue {
 public:
  // Seed 0: warps in turn, each while it can, and its lanes in turn.
  void begin(size_t warps, uint64_t seed);

  void push(Thread* thread);
  // Ends the turn of the warp at work.
  void interrupt();
  // Null: nobody can run.
  Thread* pop();

 private:
  size_t choose(size_t count);  // an index below count

  Ring<Warp*> warps_{1};  // that have threads which can run, but for the one at work
  Warp* at_work_ = nullptr;
  size_t burst_ = 0;  // threads in a row, on average
  uint64_t random_ = 0;
};

}  // namespace halftone::cuda_host::machine
