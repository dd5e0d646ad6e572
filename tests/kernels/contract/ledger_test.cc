#include "kernels/contract/ledger.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

namespace halftone::test {
namespace {

const MemoryTag kPages{"w4a16", MemoryCategory::kKvCache};
const MemoryTag kWeights{"w4", MemoryCategory::kWeights};

MemoryEntry entry_of(const Ledger& ledger, const MemoryTag& tag) {
  for (const MemoryEntry& entry : ledger.entries()) {
    if (entry.tag == tag) return entry;
  }
  return {};
}

uint64_t peak(const Ledger& ledger, const MemoryTag& tag, MemoryStage stage) {
  return entry_of(ledger, tag).peak_bytes[static_cast<size_t>(stage)];
}

TEST(Ledger, EntriesAddUpToTheTotal) {
  Ledger ledger;
  ledger.add(kPages, 100);
  ledger.add(kWeights, 1000);
  ledger.add(kPages, 11);
  ledger.subtract(kWeights, 400);
  EXPECT_EQ(entry_of(ledger, kPages).bytes, 111u);
  EXPECT_EQ(entry_of(ledger, kWeights).bytes, 600u);
  EXPECT_EQ(ledger.total(), 711u);
}

TEST(Ledger, OneOwnerHasAnEntryForEachCategory) {
  Ledger ledger;
  ledger.add({"w4a16", MemoryCategory::kKvCache}, 1);
  ledger.add({"w4a16", MemoryCategory::kKvPadding}, 2);
  ledger.add({"bf16", MemoryCategory::kKvCache}, 4);
  EXPECT_EQ(ledger.entries().size(), 3u);
}

TEST(Ledger, SettingReplacesWhatWasThere) {
  Ledger ledger;
  ledger.add(kPages, 100);
  ledger.set(kPages, 30);
  EXPECT_EQ(ledger.total(), 30u);
  ledger.set(kWeights, 5);
  EXPECT_EQ(ledger.total(), 35u);
}

TEST(Ledger, PeaksAreKeptByStage) {
  Ledger ledger;
  ledger.add(kPages, 50);
  ledger.subtract(kPages, 20);
  ledger.set_stage(MemoryStage::kPrefill);
  ledger.set(kPages, 500);
  ledger.set(kPages, 40);
  ledger.set_stage(MemoryStage::kDecode);
  ledger.add(kPages, 1);
  EXPECT_EQ(peak(ledger, kPages, MemoryStage::kLoad), 50u);
  EXPECT_EQ(peak(ledger, kPages, MemoryStage::kPrefill), 500u);
  EXPECT_EQ(peak(ledger, kPages, MemoryStage::kDecode), 41u);
}

TEST(Ledger, AStageBeginsWithWhatIsHeld) {
  Ledger ledger;
  ledger.add(kWeights, 700);
  ledger.set_stage(MemoryStage::kDecode);
  EXPECT_EQ(peak(ledger, kWeights, MemoryStage::kDecode), 700u);
  EXPECT_EQ(peak(ledger, kWeights, MemoryStage::kPrefill), 0u);
}

TEST(Ledger, NamesAreDistinct) {
  std::set<std::string> names;
  for (int i = 0; i < kMemoryCategories; ++i) names.insert(memory_category_name(static_cast<MemoryCategory>(i)));
  EXPECT_EQ(names.size(), static_cast<size_t>(kMemoryCategories));
  std::set<std::string> stages;
  for (int i = 0; i < kMemoryStages; ++i) stages.insert(memory_stage_name(static_cast<MemoryStage>(i)));
  EXPECT_EQ(stages.size(), static_cast<size_t>(kMemoryStages));
}

TEST(Ledger, CountsRightFromManyThreads) {
  Ledger ledger;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&ledger, t] {
      for (uint64_t i = 0; i < 1000; ++i) {
        ledger.add(kPages, 3);
        if (i % 100 == 0) ledger.set_stage(static_cast<MemoryStage>(t % kMemoryStages));
        ledger.subtract(kPages, 2);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ledger.total(), 4000u);
}

TEST(LedgerDeathTest, TakingOffMoreThanThereIsEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Ledger ledger;
  ledger.add(kPages, 5);
  EXPECT_DEATH(ledger.subtract(kPages, 6), "broken promise");
  EXPECT_DEATH(ledger.subtract(kWeights, 1), "broken promise");
}

}  // namespace
}  // namespace halftone::test
