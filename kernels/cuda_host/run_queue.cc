#include "kernels/cuda_host/run_queue.h"

#include <iterator>

#include "kernels/cuda_host/machine.h"

namespace halftone::cuda_host::machine {

void RunQueue::begin(size_t warps, uint64_t seed) {
  constexpr size_t kBursts[] = {4096, 8, 64, 512};
  warps_ = Ring<Warp*>(warps);
  at_work_ = nullptr;
  random_ = seed * 0x9e3779b97f4a7c15u;
  burst_ = kBursts[seed % std::size(kBursts)];
}

size_t RunQueue::choose(size_t count) {
  if (random_ == 0) return 0;
  random_ ^= random_ << 13;  // xorshift64
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return static_cast<size_t>((random_ >> 32) * count >> 32);
}

void RunQueue::push(Thread* thread) {
  Warp& warp = *thread->warp;
  if (warp.ready.empty() && &warp != at_work_) warps_.push(&warp);
  warp.ready.push(thread);
}

void RunQueue::interrupt() {
  if (at_work_ != nullptr && !at_work_->ready.empty()) warps_.push(at_work_);
  at_work_ = nullptr;
}

Thread* RunQueue::pop() {
  if (at_work_ != nullptr && (at_work_->ready.empty() || (random_ != 0 && choose(burst_) == 0))) interrupt();
  if (at_work_ == nullptr) {
    if (warps_.empty()) return nullptr;
    at_work_ = warps_.take(choose(warps_.size()));
  }
  return at_work_->ready.take(choose(at_work_->ready.size()));
}

}  // namespace halftone::cuda_host::machine
