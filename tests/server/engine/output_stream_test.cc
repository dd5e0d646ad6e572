#include "server/engine/output_stream.h"

#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>
#include <thread>

#include "server/engine/delivery.h"

namespace halftone {
namespace {

OutputDelta delta(std::string text) {
  OutputDelta delta;
  delta.tokens.push_back({});
  delta.tokens.back().piece = text;
  delta.text = std::move(text);
  return delta;
}

TEST(OutputStream, MergesWhatNobodyTook) {
  OutputStream stream;
  stream.push(delta("a"));
  stream.push(delta("b"));
  OutputDelta last = delta("c");
  last.finish = Finish{FinishReason::kLength, std::nullopt, std::nullopt};
  last.receipt = Receipt{};
  stream.push(std::move(last));
  const auto event = stream.take(nullptr);
  ASSERT_TRUE(event && event->delta);
  EXPECT_EQ(event->delta->text, "abc");
  EXPECT_EQ(event->delta->tokens.size(), 3u);
  EXPECT_TRUE(event->delta->finish && event->delta->receipt);
  EXPECT_FALSE(stream.has_pending());
}

TEST(OutputStream, TheEndComesAfterEveryDelta) {
  OutputStream stream;
  stream.push(delta("a"));
  stream.finish(absl::CancelledError("enough"));
  auto event = stream.take(nullptr);
  ASSERT_TRUE(event && event->delta);
  EXPECT_FALSE(event->end);
  event = stream.take(nullptr);
  ASSERT_TRUE(event && event->end);
  EXPECT_EQ(event->end->code(), absl::StatusCode::kCancelled);
}

TEST(OutputStream, KnowsSinceWhenItsReaderTookNothing) {
  OutputStream stream;
  stream.note_time(100);
  stream.push(delta("a"));
  stream.note_time(200);
  stream.push(delta("b"));
  EXPECT_EQ(stream.pending_since(), 100);
  stream.take(nullptr);
  stream.push(delta("c"));
  EXPECT_EQ(stream.pending_since(), 200);
}

TEST(OutputStream, CallsReadyOnceAndOnlyWhenThereIsSomething) {
  OutputStream stream;
  int calls = 0;
  EXPECT_FALSE(stream.take([&] { ++calls; }));
  stream.deliver();
  EXPECT_EQ(calls, 0);
  stream.push(delta("a"));
  stream.deliver();
  stream.deliver();
  EXPECT_EQ(calls, 1);
}

TEST(OutputStream, ReadyMayTakeAndWaitAgain) {
  OutputStream stream;
  std::string text;
  std::function<void()> read = [&] {
    while (auto event = stream.take(read)) text += event->delta->text;
  };
  read();
  for (const char* piece : {"a", "b", "c"}) {
    stream.push(delta(piece));
    stream.deliver();
  }
  EXPECT_EQ(text, "abc");
}

TEST(Delivery, WakesEveryReaderAndNeverOnTheCallersThread) {
  constexpr int kStreams = 50, kDeltas = 200;
  std::vector<std::shared_ptr<OutputStream>> streams;
  std::atomic<int> taken{0};
  std::atomic<bool> foreign{false};
  const std::thread::id caller = std::this_thread::get_id();
  std::binary_semaphore done(0);
  std::vector<std::function<void()>> readers(kStreams);
  for (int i = 0; i < kStreams; ++i) {
    streams.push_back(std::make_shared<OutputStream>());
    readers[static_cast<size_t>(i)] = [&, i] {
      if (std::this_thread::get_id() == caller && taken > 0) foreign = true;
      while (auto event = streams[static_cast<size_t>(i)]->take(readers[static_cast<size_t>(i)])) {
        if (taken.fetch_add(static_cast<int>(event->delta->tokens.size())) +
                static_cast<int>(event->delta->tokens.size()) ==
            kStreams * kDeltas) {
          done.release();
        }
      }
    };
    readers[static_cast<size_t>(i)]();
  }
  Delivery delivery;
  for (int n = 0; n < kDeltas; ++n) {
    for (auto& stream : streams) {
      stream->push(delta("x"));
      delivery.notify(stream);
    }
  }
  done.acquire();
  EXPECT_EQ(taken, kStreams * kDeltas);
  EXPECT_FALSE(foreign);
}

}  // namespace
}  // namespace halftone
