// Knows which page holds which tokens: a tree of full pages, found by a chained hash and then verified token by token,
// so a collision can only cost time. Counts no references; its owner says which pages are idle. Engine thread only.
//
//   (mode, salt) -> page of tokens [0, T) -> page of tokens [T, 2T) -> ...      the parent of a page is a page, or
//   nothing
//
// Idle pages (held by no sequence) are evicted, the one idle for longest first. Who gives back a chain must do so from
// its end: then a page always goes before its parent.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "server/scheduler/ids.h"

namespace halftone {

// What a cached page is known by.
struct PrefixPage {
  uint64_t hash = 0;  // of all tokens up to the end of this page, the mode and the salt
  ModeIndex mode = 0;
  std::optional<PageId> parent;     // nothing for the first page of a sequence
  std::string_view salt;            // compared for a first page; later ones have it from their parent
  std::span<const int32_t> tokens;  // of this page alone
};

class PrefixCache {
 public:
  // `key` makes the hashes unforeseeable, so that nobody can send prompts that collide.
  PrefixCache(int64_t pages, int64_t largest_page_tokens, uint64_t key);

  uint64_t root_hash(ModeIndex mode, std::string_view salt) const;
  uint64_t page_hash(uint64_t parent_hash, std::span<const int32_t> tokens) const;

  std::optional<PageId> find(const PrefixPage& wanted) const;
  void insert(const PrefixPage& known, PageId page);  // busy; an equal one must not be there already

  bool contains(PageId page) const { return entries_[page].cached; }
  void set_busy(PageId page);  // a sequence holds it now
  void set_idle(PageId page);  // no sequence holds it any more
  PageId evict();              // of the idle ones; there must be one

  bool is_idle(PageId page) const { return entries_[page].idle; }
  int64_t size() const { return size_; }
  int64_t idle() const { return idle_; }
  void check_invariants() const;

 private:
  static constexpr PageId kNone = -1;

  struct Entry {
    uint64_t hash = 0;
    PageId parent = kNone;
    PageId next_in_bucket = kNone;
    PageId older = kNone, newer = kNone;  // neighbours among the idle ones
    int32_t children = 0;
    ModeIndex mode = 0;
    int32_t token_count = 0;
    bool cached = false;
    bool idle = false;
  };

  size_t bucket_of(uint64_t hash) const { return hash & (buckets_.size() - 1); }
  const int32_t* tokens_of(PageId page) const { return tokens_.get() + page * largest_page_tokens_; }
  bool is_same(PageId page, const PrefixPage& wanted) const;
  void unlink_from_bucket(PageId page);

  const int64_t largest_page_tokens_;
  const uint64_t key_;
  std::vector<Entry> entries_;                           // by page
  std::vector<PageId> buckets_;                          // a power of two of them
  std::unique_ptr<int32_t[]> tokens_;                    // [pages][largest_page_tokens], touched when first used
  std::unordered_map<PageId, std::string> first_salts_;  // of pages without a parent
  PageId oldest_ = kNone, newest_ = kNone;
  int64_t size_ = 0;
  int64_t idle_ = 0;
};

}  // namespace halftone
