// Receipts and metrics: the same counters, and true ones.
#include <gtest/gtest.h>

#include <random>

#include "tests/server/engine/receipt_sums.h"
#include "tests/server/engine/rig.h"

namespace halftone {
namespace {

constexpr Nanoseconds kMillisecond = 1'000'000;

RigOptions two_modes(Nanoseconds first_step, Nanoseconds second_step) {
  RigOptions options;
  options.executor.modes = {{"w4a16", 16, first_step, 0}, {"w4a16+kv8", 32, second_step, 0}};
  return options;
}

TEST(Account, ReceiptsAddUpToTheMetrics) {
  RigOptions options = two_modes(kMillisecond, 3 * kMillisecond);
  options.executor.pages = 24;
  Rig rig(options);
  std::mt19937 random(3);
  std::vector<std::pair<ModeIndex, std::shared_ptr<OutputStream>>> streams;
  for (int i = 0; i < 80; ++i) {
    const auto mode = static_cast<ModeIndex>(random() % 2);
    std::vector<int32_t> prompt(1 + random() % 60, 5);
    prompt.back() = static_cast<int32_t>(random() % 300);
    streams.emplace_back(mode, rig.submit(rig.request(prompt, 1 + random() % 50, mode)));
  }
  ReceiptSums sums[2];
  for (auto& [mode, stream] : streams) sums[mode].add(read_all(stream));
  rig.drain();
  EXPECT_GT(sums[0].of.preemptions + sums[1].of.preemptions, 0u);
  EXPECT_GT(sums[0].of.cached_tokens, 0u);
  for (ModeIndex mode = 0; mode < 2; ++mode) expect_sums_of(rig.metrics->mode(mode), sums[mode]);
  EXPECT_EQ(rig.metrics->request_count(0, "OK") + rig.metrics->request_count(1, "OK"), 80);
}

TEST(Account, TimesOfOneRequestFitTogether) {
  Rig rig(two_modes(10 * kMillisecond, 10 * kMillisecond));
  const Receipt receipt = *rig.run(rig.request({1, 2, 3}, 5)).all.receipt;
  EXPECT_NEAR(receipt.ttft_seconds, receipt.queue_seconds + receipt.prefill_seconds, 1e-9);
  EXPECT_NEAR(receipt.prefill_seconds, 0.010, 1e-9);
  EXPECT_NEAR(receipt.decode_seconds, 0.040, 1e-9);
  EXPECT_NEAR(receipt.tpot_seconds, 0.010, 1e-9);
  EXPECT_NEAR(receipt.device_seconds, 0.050, 1e-9);
  EXPECT_EQ(receipt.interference_seconds, 0);
  EXPECT_EQ(receipt.peak_kv_bytes, 4096u);
  EXPECT_NEAR(receipt.kv_byte_seconds, 4096 * 0.050, 1e-6);
  ModeMetrics& mode = rig.metrics->mode(0);
  EXPECT_EQ(count(mode.step[static_cast<int>(StepPhase::kPrefill)]), 1);
  EXPECT_EQ(count(mode.step[static_cast<int>(StepPhase::kDecode)]), 4);
  EXPECT_EQ(count(mode.step[static_cast<int>(StepPhase::kMixed)]), 0);
}

TEST(Account, RecomputedTokensAreNotPromptTokensAgain) {
  RigOptions options;
  options.executor.pages = 8;
  options.engine.prefix_cache = false;
  Rig rig(options);
  std::vector<std::shared_ptr<OutputStream>> streams;
  rig.executor.hold();
  for (int i = 0; i < 4; ++i) streams.push_back(rig.submit(rig.request(std::vector<int32_t>(20, i), 60)));
  rig.executor.release();
  uint32_t preemptions = 0;
  for (auto& stream : streams) preemptions += read_all(stream).all.receipt->preemptions;
  EXPECT_GT(preemptions, 0u);
  EXPECT_EQ(rig.metrics->mode(0).prompt_tokens_computed->Value(), 80);
  EXPECT_GE(rig.metrics->mode(0).recomputed_tokens->Value(), 20 * preemptions);
}

TEST(Account, InterferenceIsTheTimeOfOtherModesSteps) {
  Rig rig(two_modes(kMillisecond, 7 * kMillisecond));
  rig.executor.hold();
  auto first = rig.submit(rig.request({1, 2}, 30, 0));
  rig.executor.wait_until_held();
  auto second = rig.submit(rig.request({3, 4}, 10, 1));
  rig.executor.release();
  const Receipt own = *read_all(first).all.receipt;
  const Receipt other = *read_all(second).all.receipt;
  EXPECT_GT(own.interference_seconds, 0.006);
  // One request alone in its mode: what its decode time does not spend on its own steps it waits for the others'.
  EXPECT_NEAR(own.decode_seconds, 29 * 0.001 + own.interference_seconds, 1e-9);
  EXPECT_NEAR(other.decode_seconds, 9 * 0.007 + other.interference_seconds, 1e-9);
  EXPECT_NEAR(rig.metrics->mode(0).interference->Value(), own.interference_seconds, 1e-9);
  EXPECT_NEAR(rig.metrics->mode(1).interference->Value(), other.interference_seconds, 1e-9);
}

TEST(Account, AFloodOfOneModeDoesNotStarveAnother) {
  RigOptions options = two_modes(10 * kMillisecond, 2 * kMillisecond);
  options.executor.pages = 512;
  Rig rig(options);
  rig.executor.hold();
  std::vector<std::shared_ptr<OutputStream>> flood;
  for (int i = 0; i < 60; ++i) {
    flood.push_back(rig.submit(rig.request(std::vector<int32_t>(100, i), 100, 0)));
  }
  rig.executor.wait_until_held();
  auto alone = rig.submit(rig.request({3, 4}, 100, 1));
  rig.executor.release();
  const Receipt receipt = *read_all(alone).all.receipt;
  for (auto& stream : flood) EXPECT_TRUE(read_all(stream).status.ok());
  // As much time for the others as for itself, and one step more.
  EXPECT_LE(receipt.decode_seconds, 2 * 0.2 + 0.03);
  EXPECT_GE(receipt.interference_seconds, 0.1);
}

TEST(Account, ModesWithWorkShareTheTimeOfARound) {
  RigOptions options;
  options.executor.modes = {{"w4a16", 16, 0, 100'000}, {"w4a16+kv8", 32, 0, 100'000}};
  options.engine.step_budget = 10 * kMillisecond;   // 100 tokens
  options.engine.modes_budget = 10 * kMillisecond;  // 50 for each of two
  Rig alone(options);
  alone.run(alone.request(std::vector<int32_t>(250, 7), 1));
  EXPECT_EQ(alone.executor.largest_step_tokens(), 100);
  Rig both(options);
  both.executor.hold();
  auto first = both.submit(both.request({1}, 1));
  both.executor.wait_until_held();
  auto second = both.submit(both.request(std::vector<int32_t>(250, 7), 1, 0));
  auto third = both.submit(both.request(std::vector<int32_t>(250, 7), 1, 1));
  both.executor.release();
  for (auto& stream : {first, second, third}) EXPECT_TRUE(read_all(stream).status.ok());
  EXPECT_LE(both.executor.largest_step_tokens(), 100);  // once one of them is done
  EXPECT_GE(both.executor.steps(), 1 + 8);
}

TEST(Account, GaugesShowWhatRunsAndWaits) {
  RigOptions options;
  options.engine.max_running = 2;
  Rig rig(options);
  rig.executor.hold();
  std::vector<std::shared_ptr<OutputStream>> streams;
  streams.push_back(rig.submit(rig.request({1, 2, 3}, 50)));
  rig.executor.wait_until_held();
  for (int i = 0; i < 3; ++i) streams.push_back(rig.submit(rig.request({1, 2, 3}, 50)));
  rig.executor.let_one_pass();
  rig.executor.wait_until_held();
  ModeMetrics& mode = rig.metrics->mode(0);
  EXPECT_EQ(mode.requests_running->Value(), 2);
  EXPECT_EQ(mode.requests_waiting->Value(), 2);
  EXPECT_EQ(mode.waiting_tokens->Value(), 6);
  EXPECT_EQ(rig.pages("used"), 2);
  EXPECT_EQ(rig.executor.held_pages(), 2);
  EXPECT_NEAR(rig.engine->load().estimated_queue_seconds, 6 * 1e-4, 1e-9);
  rig.executor.release();
  for (auto& stream : streams) EXPECT_TRUE(read_all(stream).status.ok());
  EXPECT_EQ(mode.requests_running->Value(), 0);
  EXPECT_EQ(mode.requests_waiting->Value(), 0);
  EXPECT_EQ(rig.pages("used"), 0);
}

TEST(Account, TheEstimatedQueueTimeFollowsHowFastTheQueueMoves) {
  RigOptions options = two_modes(10 * kMillisecond, 10 * kMillisecond);
  options.engine.max_running = 1;
  Rig rig(options);
  rig.clock.advance(3600 * 1000 * kMillisecond);  // an idle hour means nothing
  rig.executor.hold();
  std::vector<std::shared_ptr<OutputStream>> streams;
  for (int i = 0; i < 60; ++i) streams.push_back(rig.submit(rig.request({1, i}, 10)));  // 0.1 seconds each
  for (int step = 0; step < 501; ++step) {
    rig.executor.wait_until_held();
    rig.executor.let_one_pass();
  }
  rig.executor.wait_until_held();
  EXPECT_EQ(rig.engine->load().waiting, 9u);
  EXPECT_NEAR(rig.engine->load().estimated_queue_seconds, 0.9, 0.05);
  rig.executor.release();
  for (auto& stream : streams) EXPECT_TRUE(read_all(stream).status.ok());
  EXPECT_EQ(rig.engine->load().estimated_queue_seconds, 0);
}

}  // namespace
}  // namespace halftone
