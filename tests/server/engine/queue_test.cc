// Who gets in, and what is said to who does not.
#include <gtest/gtest.h>

#include "tests/server/engine/rig.h"

namespace halftone {
namespace {

// The engine thread stands inside a step, so nothing leaves the mailbox.
struct Held : Rig {
  explicit Held(RigOptions options) : Rig(std::move(options)) {
    executor.hold();
    first = submit(request({1, 2}, 4));
    executor.wait_until_held();
  }
  ~Held() { executor.release(); }
  std::shared_ptr<OutputStream> first;
};

TEST(Queue, IsBoundedInRequests) {
  RigOptions options;
  options.engine.limits.max_queue_requests = 3;
  Held rig(options);
  std::vector<std::shared_ptr<OutputStream>> streams;
  for (int i = 0; i < 3; ++i) streams.push_back(rig.submit(rig.request({1}, 2)));
  EXPECT_EQ(rig.engine->load().waiting, 3u);
  std::optional<double> retry_after;
  const absl::Status refused = rig.refused(rig.request({1}, 2), &retry_after);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.message(), "the queue is full: 3 requests wait, the limit is 3");
  EXPECT_GT(retry_after.value_or(0), 0);
  EXPECT_EQ(rig.sample("llm_rejected_total{model=\"test\",mode=\"w4a16\",reason=\"queue_full\"}"), 1);
  rig.executor.release();
  for (auto& stream : streams) EXPECT_TRUE(read_all(stream).status.ok());
  EXPECT_TRUE(read_all(rig.submit(rig.request({1}, 2))).status.ok());
}

TEST(Queue, IsBoundedInTokens) {
  RigOptions options;
  options.engine.limits.max_queue_tokens = 10;
  Held rig(options);
  auto six = rig.submit(rig.request({1, 2, 3, 4, 5, 6}, 2));
  const absl::Status refused = rig.refused(rig.request({1, 2, 3, 4, 5}, 2));
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.message(), "the queue is full: 6 prompt tokens wait, the prompt has 5, the limit is 10");
  EXPECT_EQ(rig.engine->load().waiting_tokens, 6u);
  auto four = rig.submit(rig.request({1, 2, 3, 4}, 2));
}

TEST(Queue, CountsWhatTheSchedulerHoldsToo) {
  RigOptions options;
  options.engine.max_running = 1;
  options.engine.limits.max_queue_requests = 2;
  Held rig(options);
  auto second = rig.submit(rig.request({1}, 20));
  for (int step = 0; step < 4; ++step) {
    rig.executor.let_one_pass();
    rig.executor.wait_until_held();
  }
  EXPECT_TRUE(read_all(rig.first).status.ok());
  EXPECT_EQ(rig.engine->load().running, 1u);  // the second one
  EXPECT_EQ(rig.engine->load().waiting, 0u);
  auto third = rig.submit(rig.request({1}, 2));
  rig.executor.let_one_pass();
  rig.executor.wait_until_held();  // the third one went over to the scheduler
  EXPECT_EQ(rig.engine->load().waiting, 1u);
  EXPECT_EQ(rig.engine->load().running, 1u);
  auto fourth = rig.submit(rig.request({1}, 2));
  EXPECT_EQ(rig.refused(rig.request({1}, 2)).code(), absl::StatusCode::kResourceExhausted);
}

TEST(Queue, AnIdLivesOnceAtATime) {
  RigOptions options;
  Held rig(options);
  Request request = rig.request({1}, 2);
  request.id = "mine";
  auto stream = rig.submit(request);
  const absl::Status refused = rig.refused(request);
  EXPECT_EQ(refused.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_NE(refused.message().find("\"mine\""), std::string::npos);
  rig.executor.release();
  read_all(stream);
  EXPECT_TRUE(rig.run(request).status.ok());  // who saw the end may use it again
}

TEST(Queue, APromptBeyondTheContextIsInvalid) {
  RigOptions options;
  options.engine.limits.max_context_tokens = 50;
  Rig rig(options);
  const absl::Status refused = rig.refused(rig.request(std::vector<int32_t>(51, 1), 2));
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(refused.message(), "the prompt has 51 tokens, the context holds 50");
  EXPECT_EQ(rig.refused(rig.request({}, 2)).code(), absl::StatusCode::kInvalidArgument);
}

TEST(Queue, WhatCanNeverFitIsOutOfRangeWithTheNumbers) {
  RigOptions options;
  options.executor.pages = 4;  // 64 tokens
  Rig rig(options);
  absl::Status refused = rig.refused(rig.request(std::vector<int32_t>(60, 1), 5));
  EXPECT_EQ(refused.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(refused.message(),
            "the prompt has 60 tokens and max_new_tokens = 5 make 65, the pages of mode w4a16 hold 64 in all");
  EXPECT_EQ(rig.run(rig.request(std::vector<int32_t>(60, 1), 4)).all.tokens.size(), 4u);
  refused = rig.refused(rig.request(std::vector<int32_t>(65, 1), 1));
  EXPECT_EQ(refused.code(), absl::StatusCode::kOutOfRange);
  Request open = rig.request(std::vector<int32_t>(60, 1), 256);
  open.max_new_tokens_given = false;
  const Answer answer = rig.run(open);
  EXPECT_EQ(answer.all.tokens.size(), 4u);
  EXPECT_EQ(answer.all.finish->reason, FinishReason::kContextLimit);
  options.executor.context = 30;
  Rig small(options);
  refused = small.refused(small.request(std::vector<int32_t>(20, 1), 11));
  EXPECT_EQ(refused.message(), "the prompt has 20 tokens and max_new_tokens = 11 make 31, the context holds 30");
}

TEST(Queue, HigherPriorityIsSooner) {
  RigOptions options;
  options.engine.max_running = 1;
  Held rig(options);
  Request low = rig.request({1, 5}, 3), high = rig.request({1, 6}, 3);
  high.priority = 100;
  auto later = rig.submit(low);
  auto earlier = rig.submit(high);
  rig.executor.release();
  const Answer second = read_all(later);
  const Answer first = read_all(earlier);
  EXPECT_LT(first.all.receipt->queue_seconds, second.all.receipt->queue_seconds);
}

}  // namespace
}  // namespace halftone
