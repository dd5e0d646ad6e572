#include "kernels/cuda_host/machine.h"

namespace halftone::cuda_host::machine {

namespace {

constexpr const char* kBlockBarrier = "a block barrier";
constexpr const char* kNamedBarrier = "a named barrier";

// Opens a barrier at which everybody has arrived.
void open_if_full(Block& block, Barrier& barrier) {
  const int expected = barrier.threads == 0 ? block.live_warps * kLanes : barrier.threads;
  if (barrier.arrived == 0 || barrier.arrived < expected) return;
  barrier.arrived = 0;
  Machine& machine = Machine::instance();
  ++machine.counters.barriers;
  machine.end_turn();
  for (Thread* thread : barrier.waiting) machine.make_ready(thread);
  barrier.waiting.clear();
}

void arrive_warp(Block& block, Warp& warp) {
  Barrier& barrier = block.barriers[static_cast<size_t>(warp.barrier)];
  if (barrier.arrived != 0 && barrier.threads != warp.barrier_threads) {
    fail(warp.barrier_site, "named barrier %d waits for %d threads, this warp says %d", warp.barrier, barrier.threads,
         warp.barrier_threads);
  }
  warp.at_barrier = 0;
  barrier.threads = warp.barrier_threads;
  barrier.arrived += kLanes;
  open_if_full(block, barrier);
}

void arrive(int id, int threads, const char* waits_in, CallSite site) {
  Machine& machine = Machine::instance();
  Thread& thread = *machine.running;
  Warp& warp = *thread.warp;
  if (warp.at_barrier == 0) {
    warp.barrier = id;
    warp.barrier_threads = threads;
    warp.barrier_site = site;
  } else if (warp.barrier != id || warp.barrier_threads != threads || warp.barrier_site != site) {
    fail(site, "divergent barrier: other lanes of this warp are at %s:%d", warp.barrier_site.file,
         warp.barrier_site.line);
  }
  warp.at_barrier |= 1u << thread.lane;
  machine.begin_wait(waits_in, site);
  thread.block->barriers[static_cast<size_t>(id)].waiting.push_back(&thread);
  if (warp.at_barrier == warp.live) arrive_warp(*thread.block, warp);
  machine.wait();
}

}  // namespace

void block_barrier(CallSite site) { arrive(0, 0, kBlockBarrier, site); }

void named_barrier(int id, int threads, CallSite site) {
  if (id < 1 || id >= kBarriers) fail(site, "named barrier %d: there are 1 to %d", id, kBarriers - 1);
  if (threads <= 0 || threads % kLanes != 0) fail(site, "a named barrier of %d threads: only whole warps", threads);
  arrive(id, threads, kNamedBarrier, site);
}

void leave_barriers(Thread& thread) {
  Block& block = *thread.block;
  Warp& warp = *thread.warp;
  warp.live &= ~(1u << thread.lane);
  if (warp.met != 0) fail(warp.meeting_site, "lane %d exits and the others of its warp wait for it here", thread.lane);
  if (warp.live == 0) {
    --block.live_warps;
    open_if_full(block, block.barriers[0]);
  } else if (warp.at_barrier == warp.live) {
    arrive_warp(block, warp);
  }
}

}  // namespace halftone::cuda_host::machine
