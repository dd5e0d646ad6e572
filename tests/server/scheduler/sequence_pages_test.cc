#include "server/scheduler/sequence_pages.h"

#include <gtest/gtest.h>

#include <numeric>

namespace halftone {
namespace {

SchedulerConfig config(int64_t pages, std::vector<int64_t> page_tokens = {4}) {
  SchedulerConfig result;
  result.pages = pages;
  result.page_tokens = std::move(page_tokens);
  return result;
}

Sequence sequence_of(int64_t tokens, int32_t first_token = 0) {
  Sequence sequence;
  sequence.tokens.resize(tokens);
  std::iota(sequence.tokens.begin(), sequence.tokens.end(), first_token);
  sequence.prompt_tokens = tokens;
  return sequence;
}

void compute(SequencePages& pages, Sequence& sequence, int64_t tokens) {
  ASSERT_TRUE(pages.extend(sequence, tokens));
  sequence.computed = tokens;
  pages.share_full_pages(sequence);
}

int64_t take_prefix(SequencePages& pages, Sequence& sequence) {
  SequencePages::Prefix prefix;
  pages.find_prefix(sequence, &prefix);
  pages.take_prefix(sequence, prefix);
  return sequence.computed;
}

TEST(SequencePages, TokensAreRoundedUpToPagesOfTheMode) {
  const SequencePages pages(config(8, {4, 16}));
  EXPECT_EQ(pages.pages_for(0, 0), 0);
  EXPECT_EQ(pages.pages_for(0, 1), 1);
  EXPECT_EQ(pages.pages_for(0, 4), 1);
  EXPECT_EQ(pages.pages_for(0, 5), 2);
  EXPECT_EQ(pages.pages_for(1, 17), 2);
}

TEST(SequencePages, ExtendingIsAllOrNothing) {
  SequencePages pages(config(3));
  Sequence a = sequence_of(20);
  EXPECT_FALSE(pages.extend(a, 13));
  EXPECT_TRUE(a.pages.empty());
  EXPECT_TRUE(pages.extend(a, 12));
  EXPECT_EQ(a.pages.size(), 3u);
  EXPECT_EQ(pages.counts().free, 0);
}

TEST(SequencePages, ASecondSequenceFindsTheFullPagesOfTheFirst) {
  SequencePages pages(config(8));
  Sequence a = sequence_of(11), b = sequence_of(11);
  compute(pages, a, 11);
  EXPECT_EQ(take_prefix(pages, b), 8);
  EXPECT_EQ(b.pages, (std::vector<PageId>(a.pages.begin(), a.pages.begin() + 2)));
  pages.check_invariants({&a, &b});
  EXPECT_EQ(pages.counts().used, 3);
  EXPECT_EQ(pages.held_by(0), 3);
}

TEST(SequencePages, TheLastTokenIsNeverTakenFromTheCache) {
  SequencePages pages(config(8));
  Sequence a = sequence_of(8), b = sequence_of(8), c = sequence_of(9);
  compute(pages, a, 8);
  EXPECT_EQ(take_prefix(pages, b), 4);
  EXPECT_EQ(take_prefix(pages, c), 8);
  pages.check_invariants({&a, &b, &c});
}

TEST(SequencePages, SaltsAndModesDoNotShare) {
  SequencePages pages(config(8, {4, 4}));
  Sequence a = sequence_of(9), salted = sequence_of(9), other_mode = sequence_of(9), refuses = sequence_of(9);
  salted.salt = "s";
  other_mode.mode = 1;
  refuses.use_prefix_cache = false;
  compute(pages, a, 9);
  EXPECT_EQ(take_prefix(pages, salted), 0);
  EXPECT_EQ(take_prefix(pages, other_mode), 0);
  EXPECT_EQ(take_prefix(pages, refuses), 0);
}

TEST(SequencePages, WithoutAPrefixCacheEverythingBecomesFree) {
  SchedulerConfig plain = config(4);
  plain.prefix_cache = false;
  SequencePages pages(plain);
  Sequence a = sequence_of(8), b = sequence_of(9);
  compute(pages, a, 8);
  EXPECT_EQ(take_prefix(pages, b), 0);
  pages.release(a);
  EXPECT_EQ(pages.counts().free, 4);
}

TEST(SequencePages, ReleasedFullPagesStayUntilTheyAreNeededLastOnesFirst) {
  SequencePages pages(config(4));
  Sequence a = sequence_of(13);
  compute(pages, a, 13);
  const std::vector<PageId> had = a.pages;
  pages.release(a);
  EXPECT_EQ(pages.counts().free, 1);
  EXPECT_EQ(pages.counts().cached, 3);

  Sequence b = sequence_of(8, 100);
  ASSERT_TRUE(pages.extend(b, 8));
  EXPECT_EQ(b.pages, (std::vector<PageId>{had[2], had[3]}));
  pages.check_invariants({&b});
  EXPECT_EQ(take_prefix(pages, a), 8);
  pages.check_invariants({&a, &b});
}

TEST(SequencePages, APageThatIsKnownAlreadyIsExchanged) {
  SequencePages pages(config(8));
  Sequence a = sequence_of(9), b = sequence_of(9);
  ASSERT_TRUE(pages.extend(b, 9));
  compute(pages, a, 9);
  b.computed = 9;
  pages.share_full_pages(b);
  EXPECT_EQ(b.pages[0], a.pages[0]);
  EXPECT_EQ(b.pages[1], a.pages[1]);
  EXPECT_NE(b.pages[2], a.pages[2]);
  EXPECT_EQ(pages.counts().used, 4);
  EXPECT_EQ(pages.counts().free, 4);
  pages.check_invariants({&a, &b});
}

TEST(SequencePages, APageThatIsKnownButIdleIsExchangedToo) {
  SequencePages pages(config(8));
  Sequence a = sequence_of(9), b = sequence_of(9);
  ASSERT_TRUE(pages.extend(b, 9));
  compute(pages, a, 9);
  pages.release(a);
  EXPECT_EQ(pages.counts().cached, 2);
  b.computed = 9;
  pages.share_full_pages(b);
  EXPECT_EQ(pages.counts().cached, 0);
  EXPECT_EQ(pages.counts().used, 3);
  pages.check_invariants({&b});
}

TEST(SequencePages, APrefixBranchesWhereTokensDiffer) {
  SequencePages pages(config(16));
  Sequence a = sequence_of(13), b = sequence_of(13), c = sequence_of(13);
  b.tokens[5] = 77;
  c.tokens[9] = 77;
  compute(pages, a, 13);
  EXPECT_EQ(take_prefix(pages, b), 4);
  compute(pages, b, 13);
  EXPECT_EQ(take_prefix(pages, c), 8);
  EXPECT_EQ(c.pages[1], a.pages[1]);
  pages.check_invariants({&a, &b, &c});
}

TEST(SequencePages, SharedPagesAreCountedOnce) {
  SequencePages pages(config(8));
  Sequence a = sequence_of(9), b = sequence_of(9);
  compute(pages, a, 9);
  take_prefix(pages, b);
  pages.begin_count();
  EXPECT_EQ(pages.count(a), 3);
  EXPECT_EQ(pages.count(b), 0);
  pages.begin_count();
  EXPECT_EQ(pages.count(b), 2);
  EXPECT_EQ(pages.count(a), 1);
}

TEST(SequencePages, DroppingIdlePagesMakesThemFreeAndLeavesHeldOnes) {
  SequencePages pages(config(8));
  Sequence a = sequence_of(9), b = sequence_of(9, 50);
  compute(pages, a, 9);
  compute(pages, b, 9);
  pages.release(b);
  pages.drop_idle();
  EXPECT_EQ(pages.counts().free, 5);
  EXPECT_EQ(pages.counts().used, 3);
  EXPECT_EQ(pages.counts().cached, 0);
  pages.check_invariants({&a});
}

}  // namespace
}  // namespace halftone
