// Gives sequences their pages: from the free list, from the prefix cache, or by evicting what only the cache holds.
// Joins the page pool and the prefix cache; knows nothing of queues and turns. Engine thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "server/scheduler/page_pool.h"
#include "server/scheduler/prefix_cache.h"
#include "server/scheduler/scheduler_types.h"
#include "server/scheduler/sequence.h"

namespace halftone {

class SequencePages {
 public:
  explicit SequencePages(const SchedulerConfig& config);

  int64_t pages_for(ModeIndex mode, int64_t tokens) const;  // rounded up
  int64_t total() const { return pool_.pages(); }
  int64_t available() const { return pool_.free_pages() + cache_.idle(); }  // without taking any from a sequence

  // Pages that `sequence` lacks to hold positions [0, tokens).
  int64_t missing(const Sequence& sequence, int64_t tokens) const;
  // Gives it those, evicting where needed; all or nothing.
  bool extend(Sequence& sequence, int64_t tokens);

  // The cached pages that begin as the sequence does; its last token is never among them, so something is left to
  // compute.
  struct Prefix {
    std::vector<PageId> pages;
    int64_t idle = 0;  // of them held by nobody: taking them leaves that many less available
  };
  void find_prefix(Sequence& sequence, Prefix* prefix);
  void take_prefix(Sequence& sequence, const Prefix& prefix);  // of a sequence without pages

  // Makes known to the cache what became full. A page that the cache has already is exchanged for the cache's and
  // freed: the contents are the same, and so each page's parent is held by whoever holds the page.
  void share_full_pages(Sequence& sequence);
  void release(Sequence& sequence);  // all its pages; the cache keeps those that it knows
  void drop_idle();

  // Pages that the given sequences hold between them, shared ones counted once: begin_count(), then add each.
  void begin_count();
  int64_t count(const Sequence& sequence);

  PageCounts counts() const { return {pool_.free_pages(), pool_.held_pages(), pool_.kept_pages()}; }
  int64_t held_by(ModeIndex mode) const { return pool_.held_by(mode); }

  // `holders`: every sequence with pages.
  void check_invariants(const std::vector<const Sequence*>& holders) const;

 private:
  PrefixPage describe(Sequence& sequence, int64_t index);
  void check_chain(const Sequence& sequence) const;

  const std::vector<int64_t> page_tokens_;  // by mode
  const bool share_;
  PagePool pool_;
  PrefixCache cache_;
  std::vector<uint64_t> counted_in_;  // by page: the last count that saw it
  uint64_t count_number_ = 0;
};

}  // namespace halftone
