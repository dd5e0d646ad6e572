#include "kernels/cuda_host/mbarrier.h"

#include <bit>
#include <utility>

#include "kernels/cuda_host/machine.h"

namespace halftone::cuda_host::machine {

namespace {

constexpr uint32_t kArrivalsMost = (1u << 20) - 1;
constexpr int64_t kBytesMost = (int64_t{1} << 20) - 1;
constexpr uint64_t kMark = 1;  // not what poison has there

struct State {  // the word in shared memory, the lowest bit first
  uint64_t phase : 1;
  uint64_t pending : 20;   // arrivals in this phase
  uint64_t arrivals : 20;  // of every phase
  int64_t bytes : 21;      // still to come in this phase
  uint64_t mark : 2;
};

State load(const uint64_t* mbarrier, CallSite site) {
  expect_shared(mbarrier, sizeof *mbarrier, site);
  const auto state = std::bit_cast<State>(*mbarrier);
  if (state.mark != kMark) fail(site, "the mbarrier was never initialized, or overwritten");
  return state;
}

// Begins the next phase where this one is complete, and wakes who waits for that.
void store(Block& block, uint64_t* mbarrier, State state) {
  const bool complete = state.pending == 0 && state.bytes == 0;
  if (complete) {
    state.phase = state.phase == 0 ? 1 : 0;
    state.pending = state.arrivals;
  }
  *mbarrier = std::bit_cast<uint64_t>(state);
  if (!complete) return;
  std::erase_if(block.phase_waits, [&](const PhaseWait& wait) {
    if (wait.mbarrier != mbarrier) return false;
    Machine::instance().make_ready(wait.thread);
    return true;
  });
}

void take_bytes(Block& block, uint64_t* mbarrier, int64_t bytes) {
  auto state = std::bit_cast<State>(*mbarrier);
  state.bytes -= bytes;
  store(block, mbarrier, state);
}

}  // namespace

void mbarrier_init(uint64_t* mbarrier, uint32_t arrivals, CallSite site) {
  expect_shared(mbarrier, sizeof *mbarrier, site);
  if (arrivals == 0 || arrivals > kArrivalsMost) fail(site, "an mbarrier of %u arrivals", arrivals);
  *mbarrier = std::bit_cast<uint64_t>(State{0, arrivals, arrivals, 0, kMark});
}

void mbarrier_arrive(uint64_t* mbarrier, uint32_t more_bytes, CallSite site) {
  State state = load(mbarrier, site);
  if (state.pending == 0) fail(site, "more than %u arrivals in one phase", static_cast<unsigned>(state.arrivals));
  if (state.bytes + more_bytes > kBytesMost)
    fail(site, "an mbarrier waits for at most %d bytes", static_cast<int>(kBytesMost));
  state.bytes += more_bytes;
  --state.pending;
  store(*Machine::instance().running->block, mbarrier, state);
}

bool mbarrier_try_wait(uint64_t* mbarrier, uint32_t parity, CallSite site) {
  if (load(mbarrier, site).phase != parity) return true;
  Machine& machine = Machine::instance();
  machine.begin_wait("mbarrier_try_wait", site);
  machine.running->block->phase_waits.push_back({mbarrier, machine.running});
  machine.wait();
  return load(mbarrier, site).phase != parity;
}

void copy_bulk(void* shared, const void* global, uint32_t bytes, uint64_t* mbarrier, CallSite site) {
  load(mbarrier, site);
  if (bytes == 0 || bytes % 16 != 0) fail(site, "a bulk copy of %u bytes: only multiples of 16", bytes);
  expect_shared(shared, 16, site);
  expect_shared(static_cast<std::byte*>(shared) + bytes - 16, 16, site);
  expect_global(global, 16, site);
  expect_global(static_cast<const std::byte*>(global) + bytes - 16, 16, site);
  Machine& machine = Machine::instance();
  if (machine.settings.counters) machine.counters.async_copy_bytes += bytes;
  const AsyncCopy copy{shared, global, bytes};
  if (machine.settings.eager_copies) {
    copy.happen();
    take_bytes(*machine.running->block, mbarrier, bytes);
  } else {
    machine.running->block->bulk_copies.push_back({copy, mbarrier});
  }
}

bool finish_bulk_copies(Block& block) {
  const std::vector<BulkCopy> copies = std::exchange(block.bulk_copies, {});
  for (const BulkCopy& bulk : copies) {
    bulk.copy.happen();
    take_bytes(block, bulk.mbarrier, static_cast<int64_t>(bulk.copy.bytes));
  }
  return !copies.empty();
}

}  // namespace halftone::cuda_host::machine
