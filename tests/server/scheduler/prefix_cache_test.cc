#include "server/scheduler/prefix_cache.h"

#include <gtest/gtest.h>

#include <set>

namespace halftone {
namespace {

using Tokens = std::vector<int32_t>;

PrefixPage first_page(const PrefixCache& cache, ModeIndex mode, std::string_view salt, const Tokens& tokens) {
  return {.hash = cache.page_hash(cache.root_hash(mode, salt), tokens),
          .mode = mode,
          .parent = std::nullopt,
          .salt = salt,
          .tokens = tokens};
}

PrefixPage next_page(const PrefixCache& cache, const PrefixPage& parent, PageId page, const Tokens& tokens) {
  return {.hash = cache.page_hash(parent.hash, tokens),
          .mode = parent.mode,
          .parent = page,
          .salt = parent.salt,
          .tokens = tokens};
}

TEST(PrefixCache, APageIsFoundByItsTokensModeAndSalt) {
  PrefixCache cache(8, 4, 1);
  const Tokens tokens{1, 2, 3, 4}, others{1, 2, 3, 5};
  cache.insert(first_page(cache, 0, "a", tokens), 6);
  EXPECT_EQ(cache.find(first_page(cache, 0, "a", tokens)), 6);
  EXPECT_EQ(cache.find(first_page(cache, 0, "a", others)), std::nullopt);
  EXPECT_EQ(cache.find(first_page(cache, 1, "a", tokens)), std::nullopt);
  EXPECT_EQ(cache.find(first_page(cache, 0, "b", tokens)), std::nullopt);
  EXPECT_EQ(cache.find(first_page(cache, 0, "", tokens)), std::nullopt);
  cache.check_invariants();
}

TEST(PrefixCache, AnEqualHashIsNotEnough) {
  PrefixCache cache(8, 4, 1);
  const Tokens tokens{1, 2, 3, 4}, others{9, 9, 9, 9}, shorter{1, 2, 3};
  const PrefixPage known = first_page(cache, 0, "a", tokens);
  cache.insert(known, 6);
  PrefixPage lie = known;
  lie.tokens = others;
  EXPECT_EQ(cache.find(lie), std::nullopt);
  lie.tokens = shorter;
  EXPECT_EQ(cache.find(lie), std::nullopt);
  lie = known;
  lie.mode = 1;
  EXPECT_EQ(cache.find(lie), std::nullopt);
  lie = known;
  lie.salt = "b";
  EXPECT_EQ(cache.find(lie), std::nullopt);
  lie = known;
  lie.parent = 3;
  EXPECT_EQ(cache.find(lie), std::nullopt);
  EXPECT_EQ(cache.find(known), 6);
}

TEST(PrefixCache, PagesWithOneHashLiveBesideEachOther) {
  PrefixCache cache(8, 4, 1);
  const Tokens a{1, 1}, b{2, 2}, c{3, 3};
  for (const auto& [tokens, page] : {std::pair(&a, 0), std::pair(&b, 1), std::pair(&c, 2)}) {
    cache.insert({.hash = 77, .mode = 0, .parent = std::nullopt, .salt = "", .tokens = *tokens}, page);
  }
  cache.check_invariants();
  cache.set_idle(1);
  EXPECT_EQ(cache.evict(), 1);
  cache.check_invariants();
  EXPECT_EQ(cache.find({.hash = 77, .mode = 0, .parent = std::nullopt, .salt = "", .tokens = a}), 0);
  EXPECT_EQ(cache.find({.hash = 77, .mode = 0, .parent = std::nullopt, .salt = "", .tokens = b}), std::nullopt);
  EXPECT_EQ(cache.find({.hash = 77, .mode = 0, .parent = std::nullopt, .salt = "", .tokens = c}), 2);
}

TEST(PrefixCache, TheSameTokensAfterAnotherParentAreAnotherPage) {
  PrefixCache cache(8, 2, 1);
  const Tokens a{1, 1}, b{2, 2}, tail{3, 3};
  const PrefixPage after_a = first_page(cache, 0, "", a), after_b = first_page(cache, 0, "", b);
  cache.insert(after_a, 0);
  cache.insert(after_b, 1);
  cache.insert(next_page(cache, after_a, 0, tail), 2);
  EXPECT_EQ(cache.find(next_page(cache, after_a, 0, tail)), 2);
  EXPECT_EQ(cache.find(next_page(cache, after_b, 1, tail)), std::nullopt);
  cache.check_invariants();
}

TEST(PrefixCache, TheOneIdleForLongestIsEvicted) {
  PrefixCache cache(4, 1, 1);
  const std::vector<Tokens> tokens{{0}, {1}, {2}, {3}};
  for (PageId page = 0; page < 4; ++page) cache.insert(first_page(cache, 0, "", tokens[page]), page);
  for (PageId page : {2, 0, 3, 1}) cache.set_idle(page);
  cache.set_busy(0);
  cache.check_invariants();
  EXPECT_EQ(cache.evict(), 2);
  cache.set_idle(0);
  EXPECT_EQ(cache.evict(), 3);
  EXPECT_EQ(cache.evict(), 1);
  EXPECT_EQ(cache.evict(), 0);
  EXPECT_EQ(cache.size(), 0);
  cache.check_invariants();
}

TEST(PrefixCache, AnEvictedPageIsNotFoundAndItsNumberCanComeBack) {
  PrefixCache cache(2, 1, 1);
  const Tokens a{1}, b{2};
  cache.insert(first_page(cache, 0, "", a), 0);
  cache.set_idle(0);
  EXPECT_EQ(cache.evict(), 0);
  EXPECT_FALSE(cache.contains(0));
  EXPECT_EQ(cache.find(first_page(cache, 0, "", a)), std::nullopt);
  cache.insert(first_page(cache, 0, "s", b), 0);
  EXPECT_EQ(cache.find(first_page(cache, 0, "s", b)), 0);
  cache.check_invariants();
}

TEST(PrefixCache, HashesDependOnTheKeyTheSaltTheModeAndEveryToken) {
  std::set<uint64_t> seen;
  for (uint64_t key : {0u, 1u, 2u}) {
    const PrefixCache cache(1, 4, key);
    for (ModeIndex mode : {0, 1}) {
      for (std::string_view salt : {"", "a", "b", "ab"}) {
        for (const Tokens& tokens : {Tokens{0, 0}, Tokens{0, 1}, Tokens{1, 0}, Tokens{0}, Tokens{0, 0, 0}}) {
          EXPECT_TRUE(seen.insert(cache.page_hash(cache.root_hash(mode, salt), tokens)).second);
        }
      }
    }
  }
}

TEST(PrefixCache, ManyPagesSpreadOverManyHashes) {
  const PrefixCache cache(1, 4, 7);
  std::set<uint64_t> low_bits;
  for (int32_t i = 0; i < 4096; ++i) low_bits.insert(cache.page_hash(cache.root_hash(0, ""), Tokens{i}) & 0xffff);
  // 4096 balls in 65536 boxes: about 3970 boxes are hit, with a deviation near 11.
  EXPECT_GT(low_bits.size(), 3900u);
}

TEST(PrefixCacheDeath, APageCannotBeInsertedTwice) {
  PrefixCache cache(2, 1, 1);
  const Tokens a{1}, b{2};
  cache.insert(first_page(cache, 0, "", a), 0);
  EXPECT_DEATH(cache.insert(first_page(cache, 0, "", b), 0), "broken promise");
}

TEST(PrefixCacheDeath, AParentIsNeverEvictedBeforeItsChild) {
  PrefixCache cache(2, 1, 1);
  const Tokens a{1}, b{2};
  const PrefixPage parent = first_page(cache, 0, "", a);
  cache.insert(parent, 0);
  cache.insert(next_page(cache, parent, 0, b), 1);
  cache.set_idle(0);
  EXPECT_DEATH(cache.evict(), "broken promise");
}

}  // namespace
}  // namespace halftone
