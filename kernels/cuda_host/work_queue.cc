#include "kernels/cuda_host/work_queue.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/cuda_host/shared_memory.h"

namespace halftone::cuda_host::machine {

bool HostRange::overlaps(const HostRange& other) const {
  auto* mine = static_cast<const std::byte*>(first);
  auto* its = static_cast<const std::byte*>(other.first);
  return mine < its + other.bytes && its < mine + bytes;
}

uint64_t WorkQueue::add(const Stream* stream, Operation operation) {
  const HostRange& writes = operation.writes;
  const bool still_read =
      std::any_of(work_.begin(), work_.end(), [&](const Item& item) { return item.operation.reads.overlaps(writes); });
  if (writes.bytes > 0 && !still_read) std::memset(const_cast<void*>(writes.first), kPoison, writes.bytes);
  work_.push_back({++last_, stream, std::move(operation), false});
  return last_;
}

void WorkQueue::finish(const Stream* stream, uint64_t until, const std::function<bool()>& proceed) {
  bool any = false, everything = false;  // wanted among the later ones
  for (auto item = work_.rbegin(); item != work_.rend(); ++item) {
    const bool own = item->stream == stream && item->number <= until;
    item->wanted = own || everything || (any && item->stream == nullptr);
    any |= item->wanted;
    everything |= item->wanted && item->stream == nullptr;
  }
  run_wanted(proceed);
}

void WorkQueue::finish_all(const std::function<bool()>& proceed) {
  for (Item& item : work_) item.wanted = true;
  run_wanted(proceed);
}

void WorkQueue::run_wanted(const std::function<bool()>& proceed) {
  for (const Item& item : work_) {
    if (!proceed()) break;
    if (item.wanted) item.operation.happen();
  }
  std::erase_if(work_, [](const Item& item) { return item.wanted; });
}

}  // namespace halftone::cuda_host::machine
