#include <bit>

#include "kernels/cuda_host/machine.h"

namespace halftone::cuda_host::machine {

namespace {

const char* name(Meeting meeting) {
  switch (meeting) {
    case Meeting::kBarrier:
      return "a warp barrier";
    case Meeting::kShuffle:
      return "a warp shuffle";
    case Meeting::kVote:
      return "a warp vote";
    case Meeting::kLdmatrix:
      return "ldmatrix";
    case Meeting::kMmaBf16:
    case Meeting::kMmaF16:
    case Meeting::kMmaS8:
      return "mma";
  }
  return "";
}

void count(Meeting meeting, Counters& counters) {
  switch (meeting) {
    case Meeting::kBarrier:
      return;
    case Meeting::kShuffle:
      ++counters.shuffles;
      return;
    case Meeting::kVote:
      ++counters.votes;
      return;
    case Meeting::kLdmatrix:
      ++counters.ldmatrix;
      return;
    case Meeting::kMmaBf16:
      ++counters.mma_bf16;
      return;
    case Meeting::kMmaF16:
      ++counters.mma_f16;
      return;
    case Meeting::kMmaS8:
      ++counters.mma_s8;
      return;
  }
}

void begin_meeting(Warp& warp, Meeting meeting, CallSite site) {
  if (warp.live != ~0u) {
    fail(site, "%s of a warp with %d of its 32 lanes left", name(meeting), std::popcount(warp.live));
  }
  warp.meeting = meeting;
  warp.meeting_site = site;
}

}  // namespace

void meet(Meeting meeting, void* operand, MeetingWork work, CallSite site) {
  Machine& machine = Machine::instance();
  Thread& thread = *machine.running;
  Warp& warp = *thread.warp;
  if (warp.met == 0) {
    begin_meeting(warp, meeting, site);
  } else if (warp.meeting != meeting || warp.meeting_site != site) {
    fail(site, "divergent warp: this lane is in %s, others are in %s at %s:%d", name(meeting), name(warp.meeting),
         warp.meeting_site.file, warp.meeting_site.line);
  }
  warp.operands[static_cast<size_t>(thread.lane)] = operand;
  warp.met |= 1u << thread.lane;
  if (warp.met != ~0u) {
    machine.begin_wait(name(meeting), site);
    machine.wait();
    return;
  }
  if (machine.settings.counters) count(meeting, machine.counters);
  work(warp.operands.data());
  warp.met = 0;
  for (Thread* other : warp.threads) {
    if (other != &thread) machine.make_ready(other);
  }
}

}  // namespace halftone::cuda_host::machine
