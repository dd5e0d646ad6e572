#include "kernels/contract/device.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <utility>

namespace halftone::test {
namespace {

int frees = 0;

Buffer make(Ledger& ledger, size_t bytes) {
  static std::array<std::byte, 1024> memory;
  return Buffer(memory.data(), bytes, [](void*, size_t) { ++frees; }, &ledger, {"shared", MemoryCategory::kOther});
}

TEST(Buffer, IsInTheLedgerWhileItLives) {
  frees = 0;
  Ledger ledger;
  {
    const Buffer buffer = make(ledger, 100);
    EXPECT_TRUE(buffer);
    EXPECT_EQ(ledger.total(), 100u);
  }
  EXPECT_EQ(ledger.total(), 0u);
  EXPECT_EQ(frees, 1);
}

TEST(Buffer, MovingMovesTheMemoryAndItsEntry) {
  frees = 0;
  Ledger ledger;
  {
    Buffer first = make(ledger, 100);
    const Buffer second = std::move(first);
    EXPECT_EQ(second.bytes(), 100u);
    EXPECT_EQ(ledger.total(), 100u);
    EXPECT_EQ(frees, 0);
  }
  EXPECT_EQ(ledger.total(), 0u);
  EXPECT_EQ(frees, 1);
}

TEST(Buffer, AssigningFreesBothInTheEnd) {
  frees = 0;
  Ledger ledger;
  {
    Buffer kept = make(ledger, 100);
    kept = make(ledger, 7);
    EXPECT_EQ(kept.bytes(), 7u);
    EXPECT_EQ(ledger.total(), 7u) << "what was there before must be gone";
  }
  EXPECT_EQ(ledger.total(), 0u);
  EXPECT_EQ(frees, 2);
}

TEST(Buffer, AnEmptyOneFreesNothing) {
  frees = 0;
  {
    Buffer empty;
    EXPECT_FALSE(empty);
    Buffer other = std::move(empty);
    EXPECT_FALSE(other);
  }
  EXPECT_EQ(frees, 0);
}

TEST(LogitEdit, PenalizesThenSubtractsThenAdds) {
  EXPECT_EQ((LogitEdit{}.apply(1.5f)), 1.5f);
  EXPECT_EQ((LogitEdit{.repetition = 2, .subtract = 1, .add = 10}.apply(3)), 10.5f);
  EXPECT_EQ((LogitEdit{.repetition = 2, .subtract = 1, .add = 10}.apply(-3)), 3);
  // Adding first would lose the 1 that is added.
  EXPECT_EQ((LogitEdit{.subtract = 1, .add = 1}.apply(0x1p24f)), 0x1p24f);
  EXPECT_EQ((LogitEdit{.add = -std::numeric_limits<float>::infinity()}.apply(5)),
            -std::numeric_limits<float>::infinity());
}

TEST(Tensor, RowsOfATensorKeepItsStride) {
  std::array<float, 24> values{};
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const Tensor all{values.data(), DType::kF32, 4, 5, 6};
  const Tensor part = rows_of(all, 2, 2);
  EXPECT_EQ(part.rows, 2);
  EXPECT_EQ(part.cols, 5);
  EXPECT_EQ(part.f32(0)[0], 12);
  EXPECT_EQ(part.f32(1)[4], 22);
}

TEST(Tensor, RowsOfHalvesAreTwoBytesAValue) {
  std::array<uint16_t, 12> values{};
  const Tensor all{values.data(), DType::kF16, 4, 3, 3};
  EXPECT_EQ(rows_of(all, 3, 1).data, &values[9]);
}

}  // namespace
}  // namespace halftone::test
