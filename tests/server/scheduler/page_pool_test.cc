#include "server/scheduler/page_pool.h"

#include <gtest/gtest.h>

namespace halftone {
namespace {

TEST(PagePool, AllocationIsAllOrNothing) {
  PagePool pool(4, 1);
  std::vector<PageId> pages;
  ASSERT_TRUE(pool.allocate(0, 3, &pages));
  EXPECT_FALSE(pool.allocate(0, 2, &pages));
  EXPECT_EQ(pages.size(), 3u);
  EXPECT_EQ(pool.free_pages(), 1);
  ASSERT_TRUE(pool.allocate(0, 1, &pages));
  EXPECT_EQ(pages, (std::vector<PageId>{0, 1, 2, 3}));
  pool.check_invariants();
}

TEST(PagePool, AHeldPageIsFreeOnlyAfterTheLastRelease) {
  PagePool pool(2, 1);
  std::vector<PageId> pages;
  ASSERT_TRUE(pool.allocate(0, 1, &pages));
  pool.hold(pages[0]);
  EXPECT_FALSE(pool.release(pages[0]));
  EXPECT_EQ(pool.held_pages(), 1);
  EXPECT_TRUE(pool.release(pages[0]));
  EXPECT_EQ(pool.held_pages(), 0);
  EXPECT_EQ(pool.kept_pages(), 1);
  EXPECT_EQ(pool.free_pages(), 1);
  pool.give_back(pages[0]);
  EXPECT_EQ(pool.free_pages(), 2);
  pool.check_invariants();
}

TEST(PagePool, AKeptPageCanBeHeldAgain) {
  PagePool pool(1, 1);
  std::vector<PageId> pages;
  ASSERT_TRUE(pool.allocate(0, 1, &pages));
  EXPECT_TRUE(pool.release(pages[0]));
  pool.hold(pages[0]);
  EXPECT_EQ(pool.held_pages(), 1);
  EXPECT_EQ(pool.kept_pages(), 0);
  EXPECT_EQ(pool.references(pages[0]), 1);
  pool.check_invariants();
}

TEST(PagePool, HeldPagesAreCountedByOwnerAndSharedOnesOnce) {
  PagePool pool(6, 2);
  std::vector<PageId> first, second;
  ASSERT_TRUE(pool.allocate(0, 2, &first));
  ASSERT_TRUE(pool.allocate(1, 3, &second));
  pool.hold(second[0]);
  EXPECT_EQ(pool.held_by(0), 2);
  EXPECT_EQ(pool.held_by(1), 3);
  pool.release(second[0]);
  EXPECT_EQ(pool.held_by(1), 3);
  pool.release(second[0]);
  EXPECT_EQ(pool.held_by(1), 2);
  pool.check_invariants();
}

TEST(PagePoolDeath, GivingBackAHeldPageEndsTheProcess) {
  PagePool pool(1, 1);
  std::vector<PageId> pages;
  ASSERT_TRUE(pool.allocate(0, 1, &pages));
  EXPECT_DEATH(pool.give_back(pages[0]), "broken promise");
}

}  // namespace
}  // namespace halftone
