#include "server/api/text_desk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "client/status.h"
#include "tests/support/exposition.h"
#include "tests/support/fake_executor.h"

namespace halftone {
namespace {

constexpr uint64_t kLarge = 1 << 20;

struct Desk {
  explicit Desk(TextDeskConfig config = {}) : desk(config, metrics, clock.function()) {}
  FakeClock clock;
  Metrics metrics{"tiny", {}};
  TextDesk desk;
};

TEST(TextDesk, IsBoundedInNumber) {
  Desk fixture({.max_calls = 2});
  auto first = fixture.desk.enter(10), second = fixture.desk.enter(10);
  ASSERT_TRUE(first.ok() && second.ok());
  const absl::Status full = fixture.desk.enter(10).status();
  EXPECT_TRUE(absl::IsResourceExhausted(full));
  EXPECT_GT(retry_after_seconds(full).value_or(0), 0);
  EXPECT_EQ(reason_of(full), "TEXT_DESK_FULL");
  *first = TextDesk::Place();
  EXPECT_TRUE(fixture.desk.enter(10).ok());
}

TEST(TextDesk, IsBoundedInBytesUntilTheAnswersAreRead) {
  Desk fixture({.max_bytes = 32 << 20});
  std::vector<TextDesk::Place> places;
  for (auto place = fixture.desk.enter(kLarge); place.ok(); place = fixture.desk.enter(kLarge)) {
    places.push_back(*std::move(place));
  }
  EXPECT_EQ(places.size(), 3u) << "a message costs several times its bytes while it is in work";
  for (TextDesk::Place& place : places) EXPECT_TRUE(place.hold(10 << 20).ok());
  EXPECT_FALSE(fixture.desk.enter(kLarge).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(places[0].hold(13 << 20)));
  EXPECT_EQ(fixture.desk.load().bytes, 30u << 20);
  places.clear();
  EXPECT_EQ(fixture.desk.load().bytes, 0u);
  EXPECT_EQ(fixture.desk.load().calls, 0u);
}

TEST(TextDesk, WhatTheEngineTookOverIsOnlyChargedForItsAnswer) {
  Desk fixture({.max_calls = 1});
  auto place = fixture.desk.enter(10);
  ASSERT_TRUE(place->hand_on(1000).ok());
  EXPECT_EQ(fixture.desk.load().calls, 0u);
  EXPECT_EQ(fixture.desk.load().bytes, 1000u);
  EXPECT_TRUE(fixture.desk.enter(10).ok());
}

TEST(TextDesk, SmallTextsPassLargeOnes) {
  std::promise<void> release, small;
  std::shared_future<void> released = release.get_future().share();
  std::atomic<int> large{0};
  Desk fixture;  // last: its threads use the rest
  for (int i = 0; i < 4; ++i) {
    fixture.desk.run(kLarge, [&large, released] {
      released.wait();
      ++large;
    });
  }
  fixture.desk.run(10, [&] { small.set_value(); });
  small.get_future().wait();
  EXPECT_EQ(large, 0);
  release.set_value();
}

TEST(TextDesk, DoesAllThatItWasGivenBeforeItEnds) {
  std::atomic<int> done{0};
  {
    Desk fixture;
    for (uint64_t bytes : {uint64_t{1}, kLarge, uint64_t{1}, kLarge}) fixture.desk.run(bytes, [&] { ++done; });
  }
  EXPECT_EQ(done, 4);
}

TEST(TextDesk, GivesUpAnswersThatNobodyReads) {
  std::promise<void> given_up;
  std::atomic<bool> wrong{false};
  Desk fixture({.stall_limit = 5'000'000'000});
  auto unread = fixture.desk.enter(10), read = fixture.desk.enter(10);
  unread->watch([&] { given_up.set_value(); });
  read->watch([&] { wrong = true; });
  *read = TextDesk::Place();
  auto waits = given_up.get_future();
  EXPECT_EQ(waits.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  for (int i = 0; i < 2000 && waits.wait_for(std::chrono::milliseconds(5)) != std::future_status::ready; ++i) {
    fixture.clock.advance(100'000'000);
  }
  EXPECT_EQ(waits.wait_for(std::chrono::seconds(0)), std::future_status::ready);
  EXPECT_FALSE(wrong);
}

TEST(TextDesk, ShowsItsLoadInTheMetrics) {
  Desk fixture;
  auto place = fixture.desk.enter(1000);
  const MetricsPage page = read_metrics_page(fixture.metrics.render());
  EXPECT_EQ(page.value("llm_text_calls", {}), 1);
  EXPECT_EQ(page.value("llm_text_bytes", {}), static_cast<double>(fixture.desk.load().bytes));
}

}  // namespace
}  // namespace halftone
