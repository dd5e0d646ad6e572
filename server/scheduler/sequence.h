// One request as the scheduler sees it: tokens, and the pages that hold them. Engine thread only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/scheduler/ids.h"

namespace halftone {

// What one point of priority is worth: so much earlier a sequence counts as arrived. The proto says the same.
inline constexpr Nanoseconds kPriorityPoint = 100'000'000;

struct Sequence {
  SequenceId id = 0;
  ModeIndex mode = 0;
  int32_t priority = 0;
  std::string salt;
  bool use_prefix_cache = true;

  std::vector<int32_t> tokens;  // prompt, then generated; only grows, and only when a step is accepted
  int64_t prompt_tokens = 0;
  int64_t max_tokens = 0;

  std::vector<PageId> pages;  // page i holds positions [i * page_tokens, (i + 1) * page_tokens)
  std::vector<uint64_t>
      page_hashes;           // of full pages, made when first asked for; right for good, as tokens never change
  int64_t shared_pages = 0;  // that many of the first pages are known to the prefix cache
  int64_t computed = 0;      // positions [0, computed) are stored in pages

  bool running = false;    // has pages; otherwise it waits
  bool in_flight = false;  // part of a step that is not accepted yet
  bool cancelled = false;  // gone for everybody, but its last step is still in flight

  bool was_scheduled = false;
  bool was_preempted = false;
  Nanoseconds added_at = 0;
  int64_t ever_computed = 0;  // the furthest that `computed` ever was: what is computed below it is recomputed
  int64_t cached_tokens = 0;  // found in the prefix cache when it was first scheduled

  int64_t size() const { return static_cast<int64_t>(tokens.size()); }
  int64_t remaining() const { return size() - computed; }
  bool decodes() const { return remaining() == 1 && size() > prompt_tokens; }
};

// The order of the queue, and of who may take whose pages: who arrived first, where every point of priority counts as
// kPriorityPoint of arriving earlier; then older. Time moves all of them alike, so the order of two never changes, and
// of those that come later only as many pass one as arrive within its distance in priority. One that was preempted
// keeps its place.
inline Nanoseconds place_in_line(const Sequence& sequence) {
  return sequence.added_at - sequence.priority * kPriorityPoint;
}
inline bool runs_before(const Sequence& a, const Sequence& b) {
  const Nanoseconds place_a = place_in_line(a), place_b = place_in_line(b);
  return place_a != place_b ? place_a < place_b : a.id < b.id;
}

}  // namespace halftone
