#include "server/scheduler/sequence_pages.h"

#include <algorithm>

#include "kernels/contract/check.h"

namespace halftone {

SequencePages::SequencePages(const SchedulerConfig& config)
    : page_tokens_(config.page_tokens),
      share_(config.prefix_cache),
      pool_(config.pages, static_cast<int64_t>(config.page_tokens.size())),
      cache_(config.pages, *std::max_element(config.page_tokens.begin(), config.page_tokens.end()), config.hash_key),
      counted_in_(config.pages, 0) {}

int64_t SequencePages::pages_for(ModeIndex mode, int64_t tokens) const {
  return (tokens + page_tokens_[mode] - 1) / page_tokens_[mode];
}

int64_t SequencePages::missing(const Sequence& sequence, int64_t tokens) const {
  const int64_t has = static_cast<int64_t>(sequence.pages.size());
  return std::max<int64_t>(0, pages_for(sequence.mode, tokens) - has);
}

bool SequencePages::extend(Sequence& sequence, int64_t tokens) {
  const int64_t lacking = missing(sequence, tokens);
  if (lacking > available()) return false;
  while (pool_.free_pages() < lacking) pool_.give_back(cache_.evict());
  HALFTONE_CHECK(pool_.allocate(sequence.mode, lacking, &sequence.pages));
  return true;
}

PrefixPage SequencePages::describe(Sequence& sequence, int64_t index) {
  const int64_t size = page_tokens_[sequence.mode];
  const std::span<const int32_t> tokens(sequence.tokens.data() + index * size, size);
  if (static_cast<int64_t>(sequence.page_hashes.size()) == index) {
    const uint64_t parent = index == 0 ? cache_.root_hash(sequence.mode, sequence.salt) : sequence.page_hashes.back();
    sequence.page_hashes.push_back(cache_.page_hash(parent, tokens));
  }
  return {.hash = sequence.page_hashes[index],
          .mode = sequence.mode,
          .parent = std::nullopt,
          .salt = sequence.salt,
          .tokens = tokens};
}

void SequencePages::find_prefix(Sequence& sequence, Prefix* prefix) {
  prefix->pages.clear();
  prefix->idle = 0;
  if (!share_ || !sequence.use_prefix_cache) return;
  const int64_t most = (sequence.size() - 1) / page_tokens_[sequence.mode];
  for (int64_t i = 0; i < most; ++i) {
    PrefixPage wanted = describe(sequence, i);
    if (i > 0) wanted.parent = prefix->pages.back();
    const std::optional<PageId> page = cache_.find(wanted);
    if (!page) return;
    prefix->pages.push_back(*page);
    prefix->idle += cache_.is_idle(*page) ? 1 : 0;
  }
}

void SequencePages::take_prefix(Sequence& sequence, const Prefix& prefix) {
  HALFTONE_CHECK(sequence.pages.empty());
  for (PageId page : prefix.pages) {
    if (cache_.is_idle(page)) cache_.set_busy(page);
    pool_.hold(page);
  }
  sequence.pages.insert(sequence.pages.end(), prefix.pages.begin(), prefix.pages.end());
  sequence.shared_pages = static_cast<int64_t>(prefix.pages.size());
  sequence.computed = sequence.shared_pages * page_tokens_[sequence.mode];
}

void SequencePages::share_full_pages(Sequence& sequence) {
  if (!share_) return;
  const int64_t full = sequence.computed / page_tokens_[sequence.mode];
  for (int64_t& i = sequence.shared_pages; i < full; ++i) {
    PrefixPage known = describe(sequence, i);
    if (i > 0) known.parent = sequence.pages[i - 1];
    PageId& own = sequence.pages[i];
    if (const std::optional<PageId> other = cache_.find(known)) {
      if (cache_.is_idle(*other)) cache_.set_busy(*other);
      pool_.hold(*other);
      HALFTONE_CHECK(pool_.release(own));
      pool_.give_back(own);
      own = *other;
    } else {
      cache_.insert(known, own);
    }
  }
}

void SequencePages::release(Sequence& sequence) {
  // From the end, so that of a chain the last page is evicted first.
  for (auto page = sequence.pages.rbegin(); page != sequence.pages.rend(); ++page) {
    if (!pool_.release(*page)) continue;
    if (cache_.contains(*page)) {
      cache_.set_idle(*page);
    } else {
      pool_.give_back(*page);
    }
  }
  sequence.pages.clear();
  sequence.shared_pages = 0;
  sequence.computed = 0;
}

void SequencePages::drop_idle() {
  while (cache_.idle() > 0) pool_.give_back(cache_.evict());
}

void SequencePages::begin_count() { ++count_number_; }

int64_t SequencePages::count(const Sequence& sequence) {
  int64_t fresh = 0;
  for (PageId page : sequence.pages) {
    fresh += counted_in_[page] != count_number_ ? 1 : 0;
    counted_in_[page] = count_number_;
  }
  return fresh;
}

void SequencePages::check_chain(const Sequence& sequence) const {
  const int64_t size = page_tokens_[sequence.mode];
  for (int64_t i = 0; i < sequence.shared_pages; ++i) {
    PrefixPage wanted{.hash = sequence.page_hashes[i],
                      .mode = sequence.mode,
                      .parent = std::nullopt,
                      .salt = sequence.salt,
                      .tokens = std::span(sequence.tokens).subspan(i * size, size)};
    if (i > 0) wanted.parent = sequence.pages[i - 1];
    HALFTONE_CHECK(cache_.find(wanted) == sequence.pages[i]);
  }
}

void SequencePages::check_invariants(const std::vector<const Sequence*>& holders) const {
  pool_.check_invariants();
  cache_.check_invariants();
  std::vector<int64_t> references(pool_.pages(), 0);
  for (const Sequence* sequence : holders) {
    const int64_t pages = static_cast<int64_t>(sequence->pages.size());
    HALFTONE_CHECK(sequence->shared_pages <= pages);
    HALFTONE_CHECK(pages >= pages_for(sequence->mode, sequence->computed));
    check_chain(*sequence);
    for (int64_t i = 0; i < pages; ++i) {
      const PageId page = sequence->pages[i];
      HALFTONE_CHECK(pool_.owner(page) == sequence->mode);
      // Private until it is full and shared: then nobody else may have it.
      HALFTONE_CHECK(cache_.contains(page) == (i < sequence->shared_pages));
      HALFTONE_CHECK(i < sequence->shared_pages || pool_.references(page) == 1);
      ++references[page];
    }
  }
  for (PageId page = 0; page < pool_.pages(); ++page) {
    HALFTONE_CHECK(references[page] == pool_.references(page));
    HALFTONE_CHECK(cache_.is_idle(page) == (!pool_.is_free(page) && references[page] == 0));
  }
  const PageCounts sums = counts();
  HALFTONE_CHECK(sums.free + sums.used + sums.cached == pool_.pages() && sums.cached == cache_.idle());
}

}  // namespace halftone
