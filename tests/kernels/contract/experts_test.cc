#include "kernels/contract/experts.h"

#include <gtest/gtest.h>

namespace halftone::test {
namespace {

TEST(GroupByExpert, SlotsOfOneExpertFollowEachOther) {
  const std::vector<int32_t> chosen = {3, 0, 0, 5, -1, -1, 5, 0};
  const ExpertGroups made = group_by_expert(chosen);
  EXPECT_EQ(made.slots, (std::vector<int64_t>{1, 2, 7, 0, 3, 6}));
  EXPECT_EQ(made.places, (std::vector<int32_t>{3, 0, 1, 4, -1, -1, 5, 2}));
  ASSERT_EQ(made.groups.size(), 3u);
  const int32_t experts[] = {0, 3, 5};
  const int64_t firsts[] = {0, 3, 4}, counts[] = {3, 1, 2};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(made.groups[i].expert, experts[i]);
    EXPECT_EQ(made.groups[i].first, firsts[i]);
    EXPECT_EQ(made.groups[i].count, counts[i]);
  }
}

TEST(GroupByExpert, NobodyIsChosenWhereThereIsNoToken) {
  const ExpertGroups made = group_by_expert(std::vector<int32_t>{-1, -1});
  EXPECT_TRUE(made.groups.empty());
  EXPECT_TRUE(made.slots.empty());
}

}  // namespace
}  // namespace halftone::test
