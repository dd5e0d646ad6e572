#include "server/scheduler/prefix_cache.h"

#include <algorithm>
#include <bit>

#include "kernels/contract/check.h"

namespace halftone {
namespace {

// Both halves of the product: every bit of a and b reaches every bit of the result.
uint64_t fold(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t odd_key(uint64_t key) { return fold(key ^ 0x9e3779b97f4a7c15u, 0xd6e8feb86659fd93u) | 1; }

}  // namespace

PrefixCache::PrefixCache(int64_t pages, int64_t largest_page_tokens, uint64_t key)
    : largest_page_tokens_(largest_page_tokens),
      key_(odd_key(key)),
      entries_(pages),
      buckets_(std::bit_ceil(static_cast<uint64_t>(2 * pages + 1)), kNone),
      tokens_(std::make_unique_for_overwrite<int32_t[]>(pages * largest_page_tokens)) {}

uint64_t PrefixCache::root_hash(ModeIndex mode, std::string_view salt) const {
  uint64_t hash = fold(key_ + static_cast<uint32_t>(mode), key_ ^ salt.size());
  for (unsigned char letter : salt) hash = fold(hash ^ letter, key_) + 1;
  return hash;
}

uint64_t PrefixCache::page_hash(uint64_t parent_hash, std::span<const int32_t> tokens) const {
  uint64_t hash = parent_hash;
  for (int32_t token : tokens) hash = fold(hash ^ static_cast<uint32_t>(token), key_) + 1;
  return hash;
}

bool PrefixCache::is_same(PageId page, const PrefixPage& wanted) const {
  const Entry& entry = entries_[page];
  if (entry.hash != wanted.hash || entry.mode != wanted.mode || entry.parent != wanted.parent.value_or(kNone))
    return false;
  const std::span<const int32_t> tokens(tokens_of(page), entry.token_count);
  if (!std::equal(tokens.begin(), tokens.end(), wanted.tokens.begin(), wanted.tokens.end())) return false;
  return wanted.parent || first_salts_.at(page) == wanted.salt;
}

std::optional<PageId> PrefixCache::find(const PrefixPage& wanted) const {
  for (PageId page = buckets_[bucket_of(wanted.hash)]; page != kNone; page = entries_[page].next_in_bucket) {
    if (is_same(page, wanted)) return page;
  }
  return std::nullopt;
}

void PrefixCache::insert(const PrefixPage& known, PageId page) {
  Entry& entry = entries_[page];
  HALFTONE_CHECK(!entry.cached && static_cast<int64_t>(known.tokens.size()) <= largest_page_tokens_);
  PageId& bucket = buckets_[bucket_of(known.hash)];
  entry = {.hash = known.hash,
           .parent = known.parent.value_or(kNone),
           .next_in_bucket = bucket,
           .mode = known.mode,
           .token_count = static_cast<int32_t>(known.tokens.size()),
           .cached = true};
  bucket = page;
  std::copy(known.tokens.begin(), known.tokens.end(), tokens_.get() + page * largest_page_tokens_);
  if (known.parent) {
    HALFTONE_CHECK(entries_[*known.parent].cached);
    ++entries_[*known.parent].children;
  } else {
    first_salts_.emplace(page, known.salt);
  }
  ++size_;
}

void PrefixCache::set_busy(PageId page) {
  Entry& entry = entries_[page];
  HALFTONE_CHECK(entry.cached && entry.idle);
  (entry.older == kNone ? oldest_ : entries_[entry.older].newer) = entry.newer;
  (entry.newer == kNone ? newest_ : entries_[entry.newer].older) = entry.older;
  entry.older = entry.newer = kNone;
  entry.idle = false;
  --idle_;
}

void PrefixCache::set_idle(PageId page) {
  Entry& entry = entries_[page];
  HALFTONE_CHECK(entry.cached && !entry.idle);
  entry.older = newest_;
  (newest_ == kNone ? oldest_ : entries_[newest_].newer) = page;
  newest_ = page;
  entry.idle = true;
  ++idle_;
}

PageId PrefixCache::evict() {
  const PageId page = oldest_;
  HALFTONE_CHECK(page != kNone && entries_[page].children == 0);
  set_busy(page);
  unlink_from_bucket(page);
  Entry& entry = entries_[page];
  if (entry.parent == kNone) {
    first_salts_.erase(page);
  } else {
    --entries_[entry.parent].children;
  }
  entry = Entry{};
  --size_;
  return page;
}

void PrefixCache::unlink_from_bucket(PageId page) {
  PageId* link = &buckets_[bucket_of(entries_[page].hash)];
  while (*link != page) link = &entries_[*link].next_in_bucket;
  *link = entries_[page].next_in_bucket;
}

void PrefixCache::check_invariants() const {
  std::vector<int32_t> children(entries_.size(), 0);
  std::vector<int64_t> idle_since(entries_.size(), -1);
  int64_t idle = 0;
  for (PageId page = oldest_; page != kNone; page = entries_[page].newer) {
    HALFTONE_CHECK(entries_[page].idle && idle < static_cast<int64_t>(entries_.size()));
    HALFTONE_CHECK(entries_[page].newer != kNone || page == newest_);
    idle_since[page] = idle++;
  }
  int64_t size = 0, first = 0;
  for (size_t page = 0; page < entries_.size(); ++page) {
    const Entry& entry = entries_[page];
    HALFTONE_CHECK(entry.idle == (idle_since[page] >= 0) && !(entry.idle && !entry.cached));
    if (!entry.cached) continue;
    ++size;
    bool linked = false;
    for (PageId p = buckets_[bucket_of(entry.hash)]; p != kNone && !linked; p = entries_[p].next_in_bucket) {
      linked = p == static_cast<PageId>(page);
    }
    HALFTONE_CHECK(linked);
    if (entry.parent == kNone) {
      ++first;
      HALFTONE_CHECK(first_salts_.contains(static_cast<PageId>(page)));
      continue;
    }
    const Entry& parent = entries_[entry.parent];
    HALFTONE_CHECK(parent.cached && parent.mode == entry.mode);
    // Held by a sequence means that the parent is held too; idle means that it is evicted before its parent.
    HALFTONE_CHECK(!parent.idle || (entry.idle && idle_since[page] < idle_since[entry.parent]));
    ++children[entry.parent];
  }
  HALFTONE_CHECK(size == size_ && idle == idle_ && first == static_cast<int64_t>(first_salts_.size()));
  for (size_t page = 0; page < entries_.size(); ++page) HALFTONE_CHECK(children[page] == entries_[page].children);
}

}  // namespace halftone
