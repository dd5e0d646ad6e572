// Every way in which a request ends, and that its stream says so once.
#include <gtest/gtest.h>

#include "tests/server/engine/rig.h"

namespace halftone {
namespace {

constexpr Nanoseconds kMillisecond = 1'000'000;

RigOptions slow_steps() {
  RigOptions options;
  options.executor.modes = {{"w4a16", 16, 10 * kMillisecond, 0}};
  return options;
}

void expect_idle(Rig& rig) {
  rig.drain();
  EXPECT_EQ(rig.pages("used"), 0);
  EXPECT_EQ(rig.executor.held_pages(), 0);
  EXPECT_EQ(rig.engine->load().running, 0u);
  EXPECT_EQ(rig.engine->load().waiting, 0u);
}

TEST(Ends, AnswersEndWithAReceipt) {
  Rig rig;
  const Answer answer = rig.run(rig.request({1, 2, 3}, 4));
  ASSERT_TRUE(answer.all.receipt.has_value());
  EXPECT_EQ(answer.all.receipt->prompt_tokens, 3u);
  EXPECT_EQ(answer.all.receipt->generated_tokens, 4u);
  EXPECT_EQ(rig.metrics->request_count(0, "OK"), 1);
  expect_idle(rig);
}

TEST(Ends, AStopStringFromTheAnswerItselfCutsIt) {
  Rig rig;
  // Greedy text is known beforehand: any piece of it is a stop string that must be found.
  Request request = rig.request({5, 6, 7}, 30);
  const Answer whole = rig.run(request);
  const size_t third = whole.all.text.size() / 3;
  size_t begin = third, end = whole.all.text.size() * 2 / 3;
  const auto inside = [&](size_t at) { return (static_cast<unsigned char>(whole.all.text[at]) & 0xC0) == 0x80; };
  while (inside(begin)) ++begin;
  while (inside(end)) ++end;
  request = rig.request({5, 6, 7}, 30);
  request.stop = {whole.all.text.substr(begin, end - begin)};
  const Answer cut = rig.run(request);
  EXPECT_EQ(cut.all.finish->stop, request.stop[0]);
  EXPECT_EQ(cut.all.text, whole.all.text.substr(0, whole.all.text.find(request.stop[0])));
  EXPECT_LT(cut.all.tokens.size(), whole.all.tokens.size());
  EXPECT_EQ(cut.all.receipt->generated_tokens, cut.all.tokens.size());
}

TEST(Ends, MinimumLengthKeepsEndTokensAway) {
  Rig rig;
  rig.executor.choose([](ModeIndex, std::span<const int32_t>) { return kFakeEos; });
  Request request = rig.request({5}, 30);
  request.ignore_eos = false;
  EXPECT_EQ(rig.run(request).ids(), std::vector<int32_t>{kFakeEos});
  request = rig.request({5}, 30);
  request.ignore_eos = false;
  request.min_new_tokens = 3;
  const Answer answer = rig.run(request);
  EXPECT_EQ(answer.ids().size(), 4u);
  EXPECT_EQ(answer.ids().back(), kFakeEos);
  EXPECT_EQ(answer.all.finish->stop_token_id, kFakeEos);
}

TEST(Ends, WithoutAGivenLengthTheContextIsTheLimit) {
  RigOptions options;
  options.executor.context = 20;
  Rig rig(options);
  Request request = rig.request(std::vector<int32_t>(15, 9), 256);
  request.max_new_tokens_given = false;
  Answer answer = rig.run(request);
  EXPECT_EQ(answer.all.finish->reason, FinishReason::kContextLimit);
  EXPECT_EQ(answer.all.tokens.size(), 5u);
  request = rig.request(std::vector<int32_t>(20, 9), 256);
  request.max_new_tokens_given = false;
  answer = rig.run(request);  // as long as the context: there is nothing to add
  EXPECT_EQ(answer.all.finish->reason, FinishReason::kContextLimit);
  EXPECT_TRUE(answer.all.tokens.empty());
}

TEST(Ends, ACancelledRequestFreesItsPagesWithinAStep) {
  Rig rig(slow_steps());
  rig.executor.hold();
  auto running = rig.submit(rig.request({1, 2, 3}, 200));
  rig.executor.wait_until_held();
  auto waiting = rig.submit(rig.request({4, 5, 6}, 200));
  running->cancel();
  waiting->cancel();
  const int64_t steps = rig.executor.steps();
  rig.executor.release();
  for (auto& stream : {running, waiting}) {
    const Answer answer = read_all(stream);
    EXPECT_EQ(answer.status.code(), absl::StatusCode::kCancelled);
    EXPECT_FALSE(answer.all.finish.has_value());
    EXPECT_TRUE(answer.all.receipt.has_value());
  }
  EXPECT_LE(rig.executor.steps(), steps + 1);
  EXPECT_EQ(rig.pages("used"), 0);
  EXPECT_EQ(rig.metrics->request_count(0, "CANCELLED"), 2);
  expect_idle(rig);
}

TEST(Ends, ACancelInTheMiddleOfAPromptFreesItsPages) {
  RigOptions options = slow_steps();
  options.executor.max_step_tokens = 8;
  Rig rig(options);
  rig.executor.hold();
  auto stream = rig.submit(rig.request(std::vector<int32_t>(100, 5), 20));
  for (int step = 0; step < 3; ++step) {
    rig.executor.wait_until_held();
    rig.executor.let_one_pass();
  }
  rig.executor.wait_until_held();
  EXPECT_EQ(rig.pages("used"), 2);
  stream->cancel();
  rig.executor.release();
  const Answer answer = read_all(stream);
  EXPECT_EQ(answer.status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(rig.executor.steps(), 4);
  EXPECT_EQ(rig.pages("used"), 0);
  EXPECT_NEAR(answer.all.receipt->prefill_seconds, 0.04, 1e-9);
}

TEST(Ends, ACancelWhilePutBackEndsTheRequest) {
  RigOptions options = slow_steps();
  options.executor.pages = 4;
  Rig rig(options);
  rig.executor.hold();
  auto older = rig.submit(rig.request(std::vector<int32_t>(30, 5), 30));
  rig.executor.wait_until_held();
  auto younger = rig.submit(rig.request(std::vector<int32_t>(17, 6), 30));
  while (rig.metrics->mode(0).preemptions->Value() == 0) {
    rig.executor.let_one_pass();
    rig.executor.wait_until_held();
  }
  younger->cancel();
  rig.executor.let_one_pass();
  rig.executor.wait_until_held();
  EXPECT_EQ(rig.engine->load().waiting, 0u);
  rig.executor.release();
  const Answer answer = read_all(younger);
  EXPECT_EQ(answer.status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(answer.all.receipt->preemptions, 1u);
  EXPECT_EQ(read_all(older).ids(), rig.executor.answer(0, std::vector<int32_t>(30, 5), 30));
  expect_idle(rig);
}

TEST(Ends, TheDeadlineIsAnError) {
  Rig rig(slow_steps());
  Request request = rig.request({1, 2}, 200);
  request.deadline = rig.clock.now() + 55 * kMillisecond;
  const Answer answer = rig.run(request);
  EXPECT_EQ(answer.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(answer.all.tokens.size(), 6u);
  EXPECT_FALSE(answer.all.finish.has_value());
  expect_idle(rig);
}

TEST(Ends, TheTimeLimitIsAnAnswer) {
  Rig rig(slow_steps());
  Request request = rig.request({1, 2}, 200);
  request.max_time = 55 * kMillisecond;
  const Answer answer = rig.run(request);
  EXPECT_TRUE(answer.status.ok());
  EXPECT_EQ(answer.all.finish->reason, FinishReason::kTimeLimit);
  EXPECT_EQ(answer.all.tokens.size(), 6u);
  expect_idle(rig);
}

TEST(Ends, TheTimeLimitCountsFromArrivalEvenInTheQueue) {
  RigOptions options = slow_steps();
  options.engine.max_running = 1;
  Rig rig(options);
  rig.executor.hold();
  auto running = rig.submit(rig.request({1, 2}, 50));
  rig.executor.wait_until_held();
  Request request = rig.request({3, 4}, 50);
  request.max_time = 100 * kMillisecond;
  auto waiting = rig.submit(request);
  rig.executor.release();
  const Answer answer = read_all(waiting);
  EXPECT_TRUE(answer.status.ok());
  EXPECT_EQ(answer.all.finish->reason, FinishReason::kTimeLimit);
  EXPECT_TRUE(answer.all.tokens.empty());
  EXPECT_TRUE(read_all(running).status.ok());
}

TEST(Ends, AQueueTimeCountsOnlyWhileWaiting) {
  RigOptions options = slow_steps();
  options.engine.max_running = 1;
  Rig rig(options);
  Request first = rig.request({1, 2}, 50);
  first.max_queue_time = 100 * kMillisecond;
  rig.executor.hold();
  auto running = rig.submit(first);
  rig.executor.wait_until_held();
  Request second = rig.request({3, 4}, 5);
  second.max_queue_time = 100 * kMillisecond;
  auto waiting = rig.submit(second);
  rig.executor.release();
  const Answer late = read_all(waiting);
  EXPECT_EQ(late.status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_NE(late.status.message().find("max_queue_seconds"), std::string::npos);
  EXPECT_TRUE(late.all.tokens.empty());
  EXPECT_NEAR(late.all.receipt->queue_seconds, 0.1, 0.02);
  EXPECT_TRUE(read_all(running).status.ok());
  expect_idle(rig);
}

TEST(Ends, AReaderThatTakesNothingEndsItsStream) {
  RigOptions options;
  options.executor.modes = {{"w4a16", 16, kMillisecond, 0}};
  options.executor.sleeps = true;  // or the other reader would be slow too
  options.engine.stall_limit = 60 * kMillisecond;
  Rig rig(options);
  auto stalled = rig.submit(rig.request({1, 2}, 200));
  auto living = rig.submit(rig.request({1, 2}, 200));
  EXPECT_TRUE(read_all(living).status.ok());
  rig.drain();
  const Answer answer = read_all(stalled);
  EXPECT_EQ(answer.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(answer.status.message(), "the client took nothing for 0.06 seconds");
  EXPECT_EQ(answer.deltas, 1);  // merged
  EXPECT_NEAR(static_cast<double>(answer.all.tokens.size()), 61, 2);
  expect_idle(rig);
}

TEST(Ends, ASlowReaderGetsFewerAndLargerDeltas) {
  Rig rig(slow_steps());
  auto slow = rig.submit(rig.request({1, 2}, 100));
  auto quick = rig.submit(rig.request({1, 2}, 100));
  read_all(quick);
  rig.drain();
  const Answer answer = read_all(slow);
  EXPECT_EQ(answer.deltas, 1);
  EXPECT_EQ(answer.ids(), rig.executor.answer(0, {1, 2}, 100));
}

TEST(Ends, ARowThatIsNotFiniteEndsOnlyItsOwnRequest) {
  Rig rig(slow_steps());
  rig.executor.poison(77);
  auto broken = rig.submit(rig.request({1, 77}, 20));
  auto healthy = rig.submit(rig.request({1, 78}, 3));
  const Answer bad = read_all(broken);
  EXPECT_EQ(bad.status.code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(bad.all.tokens.empty());
  EXPECT_EQ(read_all(healthy).ids(), rig.executor.answer(0, {1, 78}, 3));
  EXPECT_EQ(rig.metrics->mode(0).nonfinite_rows->Value(), 1);
  expect_idle(rig);
}

TEST(Ends, ADeviceErrorEndsEveryStreamAndIsReported) {
  RigOptions options = slow_steps();
  options.start = false;
  Rig rig(options);
  rig.executor.fail_at_step(4);
  std::vector<std::shared_ptr<OutputStream>> streams;
  for (int i = 0; i < 5; ++i) streams.push_back(rig.submit(rig.request({1, i}, 50)));
  expect_device_lost(rig, streams, "fell off the bus");
}

TEST(Ends, DrainingFinishesWhatLivesAndTakesNothingNew) {
  Rig rig(slow_steps());
  auto living = rig.submit(rig.request({1, 2}, 50));
  rig.drain();
  const Answer answer = read_all(living);
  EXPECT_TRUE(answer.status.ok());
  EXPECT_EQ(answer.all.tokens.size(), 50u);
  EXPECT_TRUE(rig.engine->draining());
  std::optional<double> retry_after;
  EXPECT_EQ(rig.refused(rig.request({1}, 1), &retry_after).code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(retry_after.has_value());
}

TEST(Ends, DrainingWaitsNoLongerThanItsDeadline) {
  Rig rig(slow_steps());
  auto living = rig.submit(rig.request({1, 2}, 200));
  rig.engine->drain(rig.clock.now() + 300 * kMillisecond);
  const Answer answer = read_all(living);
  EXPECT_EQ(answer.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_GT(answer.all.tokens.size(), 5u);
  EXPECT_LT(answer.all.tokens.size(), 60u);
  EXPECT_TRUE(answer.all.receipt.has_value());
}

TEST(Ends, AnEngineThatGoesEndsItsStreams) {
  RigOptions options = slow_steps();
  options.executor.sleeps = true;  // 200 steps are two seconds
  options.engine.max_running = 1;
  Rig rig(options);
  auto running = rig.submit(rig.request({1, 2}, 200));
  auto waiting = rig.submit(rig.request({1, 2}, 200));
  rig.engine.reset();
  EXPECT_EQ(read_all(running).status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(read_all(waiting).status.code(), absl::StatusCode::kUnavailable);

  RigOptions never_started;
  never_started.start = false;
  Rig still(never_started);
  auto stream = still.submit(still.request({1, 2}, 200));
  still.engine.reset();
  EXPECT_EQ(read_all(stream).status.code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace halftone
