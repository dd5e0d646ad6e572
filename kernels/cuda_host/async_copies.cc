#include "kernels/cuda_host/async_copies.h"

#include <cstring>

#include "kernels/cuda_host/machine.h"

namespace halftone::cuda_host::machine {

void AsyncCopy::happen() const {
  if (from == nullptr) {
    std::memset(to, 0, bytes);
  } else {
    std::memcpy(to, from, bytes);
  }
}

void AsyncCopies::wait(size_t groups_left) {
  if (group_ends_.size() <= groups_left) return;
  const size_t groups = group_ends_.size() - groups_left;
  const size_t count = group_ends_[groups - 1];
  for (size_t i = 0; i < count; ++i) copies_[i].happen();
  copies_.erase(copies_.begin(), copies_.begin() + static_cast<ptrdiff_t>(count));
  group_ends_.erase(group_ends_.begin(), group_ends_.begin() + static_cast<ptrdiff_t>(groups));
  for (size_t& end : group_ends_) end -= count;
}

void AsyncCopies::clear() {
  copies_.clear();
  group_ends_.clear();
}

void copy_async(void* shared, const void* global, size_t bytes, bool valid, CallSite site) {
  expect_shared(shared, bytes, site);
  if (valid) expect_global(global, bytes, site);
  Machine& machine = Machine::instance();
  if (machine.settings.counters) machine.counters.async_copy_bytes += bytes;
  const AsyncCopy copy{shared, valid ? global : nullptr, bytes};
  if (machine.settings.eager_copies) {
    copy.happen();
  } else {
    machine.running->copies.add(copy);
  }
}

void copy_async_commit() { Machine::instance().running->copies.commit(); }

void copy_async_wait(int groups_left) { Machine::instance().running->copies.wait(static_cast<size_t>(groups_left)); }

}  // namespace halftone::cuda_host::machine
