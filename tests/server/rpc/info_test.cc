// What GetServerInfo says of each mode beside its size: what it did so far, and what was measured of it beforehand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>

#include "tests/server/rpc/live_server.h"
#include "tests/support/exposition.h"

namespace halftone {
namespace {

TEST(ServedByAMode, HasNoMeansBeforeItsFirstRequest) {
  LiveServer server;
  const auto info = server.client().info();
  ASSERT_TRUE(info.ok()) << info.status();
  for (const v1::Mode& mode : info->modes()) {
    ASSERT_TRUE(mode.has_served()) << mode.id();
    EXPECT_EQ(mode.served().generated_tokens(), 0u) << mode.id();
    EXPECT_FALSE(mode.served().has_mean_ttft_seconds()) << mode.id();
    EXPECT_FALSE(mode.served().has_mean_tpot_seconds()) << mode.id();
    EXPECT_FALSE(mode.served().has_generated_tokens_per_second()) << mode.id();
  }
}

TEST(ServedByAMode, OneTokenHasATimeToItButNoneBetweenTokens) {
  LiveServer server;
  ASSERT_TRUE(server.client().generate(text_request("the", 1)).ok());
  const auto info = server.client().info();
  EXPECT_TRUE(info->modes(0).served().has_mean_ttft_seconds());
  EXPECT_FALSE(info->modes(0).served().has_mean_tpot_seconds());
  EXPECT_FALSE(info->modes(1).served().has_mean_ttft_seconds()) << "the other mode did nothing";
}

// What the page says of one mode, worked out by hand.
void expect_same_as_page(const v1::Mode& mode, const MetricsPage& page) {
  const PageLabels labels = {{"mode", mode.id()}};
  const auto mean = [&](const std::string& name) {
    return page.value(name + "_sum", labels) / page.value(name + "_count", labels);
  };
  double device = 0;
  for (const char* phase : {"prefill", "decode", "mixed"}) {
    device += page.value("llm_step_seconds_sum", {{"mode", mode.id()}, {"phase", phase}});
  }
  const double tokens = page.value("llm_generated_tokens_total", labels);
  const v1::Served& served = mode.served();
  EXPECT_GT(tokens, 0) << mode.id();
  EXPECT_EQ(served.generated_tokens(), tokens) << mode.id();
  EXPECT_NEAR(served.device_seconds(), device, 1e-9 * device) << mode.id();
  EXPECT_NEAR(served.mean_ttft_seconds(), mean("llm_time_to_first_token_seconds"), 1e-9) << mode.id();
  EXPECT_NEAR(served.mean_tpot_seconds(), mean("llm_time_per_output_token_seconds"), 1e-9) << mode.id();
  EXPECT_NEAR(served.generated_tokens_per_second(), tokens / device, 1e-9 * tokens / device) << mode.id();
  EXPECT_NEAR(served.interference_seconds(), page.value("llm_interference_seconds_total", labels), 1e-9) << mode.id();
}

TEST(ServedByAMode, IsWhatThePageSays) {
  LiveServer server;
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&server, i] {
      auto request = text_request("the one that they have " + std::to_string(i), static_cast<uint32_t>(10 + 25 * i));
      request.set_mode(i % 2 == 0 ? "w4a16" : "w4a16+kv8");
      EXPECT_TRUE(server.client().generate(request).ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(server.eventually([&] { return server.idle(); }));
  const auto info = server.client().info();
  ASSERT_TRUE(info.ok()) << info.status();
  const MetricsPage page = read_metrics_page(server.metrics.render());
  for (const v1::Mode& mode : info->modes()) expect_same_as_page(mode, page);
}

TEST(QualityOfAMode, IsThatOfItsCard) {
  QualityCard card;
  card.reference = "f32";
  card.text_name = "wiki";
  card.protocol = "windows";
  card.windows = 4;
  card.scored_positions = 4092;
  card.perplexity = 17.5;
  card.kl_mean = 0.005;
  card.kl_max = std::numeric_limits<double>::quiet_NaN();
  card.top1 = 0.97;
  LiveOptions options;
  options.quality = {std::nullopt, card};
  LiveServer server(options);
  const auto info = server.client().info();
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_FALSE(info->modes(0).has_quality());
  const v1::Quality& quality = info->modes(1).quality();
  EXPECT_EQ(quality.reference(), "f32");
  EXPECT_EQ(quality.text(), "wiki");
  EXPECT_EQ(quality.windows(), 4u);
  EXPECT_EQ(quality.scored_positions(), 4092u);
  EXPECT_EQ(quality.perplexity(), 17.5);
  EXPECT_EQ(quality.kl_mean(), 0.005);
  EXPECT_TRUE(std::isnan(quality.kl_max()));
  EXPECT_EQ(quality.top1(), 0.97);
}

TEST(QualityOfAMode, IsUnsetWithoutCards) {
  LiveServer server;
  const auto info = server.client().info();
  for (const v1::Mode& mode : info->modes()) EXPECT_FALSE(mode.has_quality()) << mode.id();
}

}  // namespace
}  // namespace halftone
