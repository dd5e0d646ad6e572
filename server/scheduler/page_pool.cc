#include "server/scheduler/page_pool.h"

#include "kernels/contract/check.h"

namespace halftone {

PagePool::PagePool(int64_t pages, int64_t owners) : slots_(pages), held_by_(owners, 0) {
  free_.reserve(pages);
  for (int64_t page = pages; page > 0; --page) free_.push_back(static_cast<PageId>(page - 1));
}

bool PagePool::allocate(ModeIndex owner, int64_t count, std::vector<PageId>* pages) {
  if (count > free_pages()) return false;
  for (int64_t i = 0; i < count; ++i) {
    const PageId page = free_.back();
    free_.pop_back();
    slots_[page] = {.references = 1, .owner = owner, .is_free = false};
    pages->push_back(page);
  }
  held_ += count;
  held_by_[owner] += count;
  return true;
}

void PagePool::hold(PageId page) {
  Slot& slot = slots_[page];
  HALFTONE_CHECK(!slot.is_free);
  if (slot.references++ > 0) return;
  ++held_;
  ++held_by_[slot.owner];
}

bool PagePool::release(PageId page) {
  Slot& slot = slots_[page];
  HALFTONE_CHECK(slot.references > 0);
  if (--slot.references > 0) return false;
  --held_;
  --held_by_[slot.owner];
  return true;
}

void PagePool::give_back(PageId page) {
  Slot& slot = slots_[page];
  HALFTONE_CHECK(!slot.is_free && slot.references == 0);
  slot.is_free = true;
  free_.push_back(page);
}

void PagePool::check_invariants() const {
  std::vector<bool> listed(slots_.size(), false);
  for (PageId page : free_) {
    HALFTONE_CHECK(!listed[page]);
    listed[page] = true;
  }
  int64_t held = 0;
  std::vector<int64_t> held_by(held_by_.size(), 0);
  for (size_t page = 0; page < slots_.size(); ++page) {
    const Slot& slot = slots_[page];
    HALFTONE_CHECK(slot.is_free == listed[page]);
    HALFTONE_CHECK(slot.references >= 0 && !(slot.is_free && slot.references > 0));
    if (slot.references == 0) continue;
    ++held;
    ++held_by[slot.owner];
  }
  HALFTONE_CHECK(held == held_ && held_by == held_by_);
}

}  // namespace halftone
