// The lines that tell how far packing is.
#include "server/packing_progress.h"

#include <gtest/gtest.h>

namespace halftone::test {
namespace {

TEST(PackingProgressTest, ALineAtEachQuarterSaysHowLongTheRestTakes) {
  PackingProgress progress;
  EXPECT_EQ(progress.line(0, 0), std::nullopt);
  EXPECT_EQ(progress.line(0.24, 3.9), std::nullopt);
  EXPECT_EQ(progress.line(0.25, 4), "packing weights: 25 %, about 12 s left");
  EXPECT_EQ(progress.line(0.26, 4.1), std::nullopt) << "once for each quarter";
  EXPECT_EQ(progress.line(0.5, 8), "packing weights: 50 %, about 8 s left");
  EXPECT_EQ(progress.line(0.76, 12.1), "packing weights: 75 %, about 4 s left") << "3.8 s, and none too few";
  EXPECT_EQ(progress.line(1, 16), "packing weights: 100 %");
  EXPECT_EQ(progress.line(1, 16), std::nullopt);
}

TEST(PackingProgressTest, QuartersThatAreSkippedHaveNoLine) {
  PackingProgress progress;
  EXPECT_EQ(progress.line(0.8, 0), "packing weights: 75 %, about 0 s left");
  EXPECT_EQ(progress.line(1, 0.1), "packing weights: 100 %");
}

}  // namespace
}  // namespace halftone::test
