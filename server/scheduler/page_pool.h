// Hands out numbers of pages and counts who holds them. Never touches their memory. Engine thread only.
//
//   free --allocate--> held (references > 0) --last release--> kept (nobody holds it) --give_back--> free
//                        ^------------------------hold-----------'
//
// free + held + kept = all. An owner is a mode: a page holds tokens of one mode as long as it is not free.
#pragma once

#include <cstdint>
#include <vector>

#include "server/scheduler/ids.h"

namespace halftone {

class PagePool {
 public:
  PagePool(int64_t pages, int64_t owners);

  int64_t pages() const { return static_cast<int64_t>(slots_.size()); }
  int64_t free_pages() const { return static_cast<int64_t>(free_.size()); }
  int64_t held_pages() const { return held_; }
  int64_t kept_pages() const { return pages() - free_pages() - held_; }
  int64_t held_by(ModeIndex owner) const { return held_by_[owner]; }

  // Appends `count` pages with one reference each, or leaves everything as it was and says false.
  bool allocate(ModeIndex owner, int64_t count, std::vector<PageId>* pages);
  void hold(PageId page);     // one reference more: of a held or a kept page
  bool release(PageId page);  // one less; true when nobody holds it any more: keep it, or give it back
  void give_back(PageId page);

  int64_t references(PageId page) const { return slots_[page].references; }
  ModeIndex owner(PageId page) const { return slots_[page].owner; }
  bool is_free(PageId page) const { return slots_[page].is_free; }
  void check_invariants() const;

 private:
  struct Slot {
    int32_t references = 0;
    ModeIndex owner = 0;
    bool is_free = true;
  };

  std::vector<Slot> slots_;   // by page
  std::vector<PageId> free_;  // taken from the end
  int64_t held_ = 0;
  std::vector<int64_t> held_by_;
};

}  // namespace halftone
