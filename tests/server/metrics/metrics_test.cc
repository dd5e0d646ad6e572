#include "server/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "server/metrics/buckets.h"
#include "server/metrics/labels.h"
#include "tests/server/metrics/sample_metrics.h"
#include "tests/support/exposition.h"

namespace halftone {
namespace {

using ::testing::IsEmpty;

size_t lines_of(const std::string& text) { return static_cast<size_t>(std::count(text.begin(), text.end(), '\n')); }

TEST(Metrics, APageKeepsTheRulesOfTheFormat) {
  Metrics metrics = sample_metrics();
  EXPECT_THAT(read_metrics_page(metrics.render()).problems, IsEmpty());
}

TEST(Metrics, EverySeriesOfEveryModeExists) {
  Metrics metrics = sample_metrics();
  for (size_t i = 0; i < metrics.facts().size(); ++i) {
    // The struct holds pointers only: a new one that nobody fills is found without being listed here.
    std::array<const void*, sizeof(ModeMetrics) / sizeof(void*)> pointers;
    std::memcpy(pointers.data(), &metrics.mode(static_cast<int>(i)), sizeof(ModeMetrics));
    for (size_t field = 0; field < pointers.size(); ++field) EXPECT_NE(pointers[field], nullptr) << "field " << field;
  }
}

TEST(Metrics, NoTwoFieldsCountIntoOneSeries) {
  Metrics metrics = sample_metrics();
  std::set<const void*> seen;
  for (size_t i = 0; i < metrics.facts().size(); ++i) {
    std::array<const void*, sizeof(ModeMetrics) / sizeof(void*)> pointers;
    std::memcpy(pointers.data(), &metrics.mode(static_cast<int>(i)), sizeof(ModeMetrics));
    for (const void* pointer : pointers) EXPECT_TRUE(seen.insert(pointer).second);
  }
}

TEST(Metrics, SeriesStartAtZeroSoThatRatesExist) {
  Metrics metrics("model", sample_modes());
  const MetricsPage page = read_metrics_page(metrics.render());
  for (const ModeFacts& mode : metrics.facts()) {
    for (std::string_view code : kEndingCodes) {
      const PageLabels labels = {{"mode", mode.id}, {"code", std::string(code)}, {"finish_reason", "none"}};
      EXPECT_EQ(page.value("llm_requests_total", labels), 0) << code;
      EXPECT_EQ(page.value("llm_request_duration_seconds_count", {{"mode", mode.id}, {"code", std::string(code)}}), 0);
    }
    for (std::string_view reason : kRejectReasons) {
      EXPECT_EQ(page.value("llm_rejected_total", {{"mode", mode.id}, {"reason", std::string(reason)}}), 0) << reason;
    }
    EXPECT_EQ(page.value("llm_requests_total", {{"mode", mode.id}, {"code", "OK"}, {"finish_reason", "length"}}), 0);
    EXPECT_EQ(page.value("llm_time_to_first_token_seconds_count", {{"mode", mode.id}}), 0);
    EXPECT_EQ(page.value("llm_step_seconds_bucket", {{"mode", mode.id}, {"phase", "mixed"}, {"le", "+Inf"}}), 0);
  }
}

TEST(Metrics, EverySeriesNamesItsModel) {
  const MetricsPage page = read_metrics_page(sample_metrics().render());
  for (const auto& [name, family] : page.families) {
    for (const PageSample& sample : family.samples) {
      ASSERT_EQ(sample.labels.count("model"), 1u) << name;
      EXPECT_EQ(sample.labels.at("model"), "SmolLM2-135M-Instruct") << name;
    }
  }
}

TEST(Metrics, EverySeriesNamesItsModeExceptThoseOfTheWholeServer) {
  const std::set<std::string> of_server = {"llm_kv_pages",   "llm_estimated_queue_seconds",
                                           "llm_build_info", "llm_text_calls",
                                           "llm_text_bytes", "llm_text_seconds_total"};
  const MetricsPage page = read_metrics_page(sample_metrics().render());
  for (const auto& [name, family] : page.families) {
    if (name.rfind("llm_memory_", 0) == 0) continue;  // by owner: what two modes share is of neither
    for (const PageSample& sample : family.samples)
      EXPECT_EQ(sample.labels.count("mode"), 1 - of_server.count(name)) << name;
  }
}

TEST(Metrics, WhatIsCountedIsWhatThePageSays) {
  Metrics metrics = sample_metrics();
  metrics.mode(1).generated_tokens->Increment(7);
  metrics.mode(1).moved_bytes[static_cast<int>(StepPhase::kDecode)]->Increment(1e12);
  metrics.mode(1).inter_token_latency->Observe(0.0025);
  metrics.request_ended(1, "OK", "length", 0.5);
  metrics.request_ended(1, "OK", "stop", 0.25);
  metrics.request_rejected(1, "queue_full");
  metrics.request_rejected(-1, "not_found");
  metrics.set_mode_pages(1, 5);
  metrics.set_pages(10, 20, 30);
  metrics.set_estimated_queue_seconds(1.5);
  const MetricsPage page = read_metrics_page(metrics.render());
  const PageLabels mode = {{"mode", "w4a16+kv8"}};
  EXPECT_EQ(page.value("llm_generated_tokens_total", mode), 7);
  EXPECT_EQ(page.value("llm_moved_bytes_total", {{"mode", "w4a16+kv8"}, {"phase", "decode"}}), 1e12);
  EXPECT_EQ(page.value("llm_inter_token_latency_seconds_bucket", {{"mode", "w4a16+kv8"}, {"le", "0.002"}}), 0);
  EXPECT_EQ(page.value("llm_inter_token_latency_seconds_bucket", {{"mode", "w4a16+kv8"}, {"le", "0.003"}}), 1);
  EXPECT_EQ(page.value("llm_requests_total", {{"mode", "w4a16+kv8"}, {"code", "OK"}, {"finish_reason", "length"}}), 1);
  EXPECT_EQ(page.value("llm_request_duration_seconds_sum", {{"mode", "w4a16+kv8"}, {"code", "OK"}}), 0.75);
  EXPECT_EQ(page.value("llm_rejected_total", {{"mode", "w4a16+kv8"}, {"reason", "queue_full"}}), 1);
  EXPECT_EQ(page.value("llm_rejected_total", {{"mode", "none"}, {"reason", "not_found"}}), 1);
  EXPECT_EQ(page.value("llm_kv_mode_pages", mode), 5);
  EXPECT_EQ(page.value("llm_kv_pages", {{"state", "cached"}}), 30);
  EXPECT_EQ(page.value("llm_estimated_queue_seconds", {}), 1.5);
  EXPECT_EQ(page.value("llm_generated_tokens_total", {{"mode", "bf16"}}), 0);
  EXPECT_EQ(metrics.request_count(1, "OK"), 2);
  EXPECT_EQ(metrics.request_count(1, "CANCELLED"), 0);
  EXPECT_EQ(metrics.request_count(0, "OK"), 0);
}

TEST(Metrics, FactsOfAModeAreOnThePage) {
  const MetricsPage page = read_metrics_page(sample_metrics().render());
  const PageLabels mode = {{"mode", "w4a16+kv8"}};
  EXPECT_EQ(page.value("llm_weight_bitwidth", mode), 5.25);
  EXPECT_EQ(page.value("llm_mode_footprint_bytes", mode), 3e9);
  EXPECT_EQ(page.value("llm_kv_bytes_per_token", mode), 12240);
  EXPECT_EQ(page.value("llm_kv_capacity_tokens", mode), 65536);
  EXPECT_EQ(page.value("llm_kv_page_padding_bytes", mode), 96);
  EXPECT_EQ(page.value("llm_mode_weights_bytes", {{"mode", "w4a16+kv8"}, {"sharing", "shared"}}), 80e6);
  const PageLabels info = {{"mode", "w4a16+kv8"},  {"weight_format", "w4"},   {"activation_format", "a16"},
                           {"kv_format", "kv8"},   {"import", "exact"},       {"source_format", "gguf Q4_1"},
                           {"kernel", "emulated"}, {"weights_digest", "cafe"}};
  EXPECT_EQ(page.value("llm_mode_info", info), 1);
}

TEST(Metrics, UnknownWordsMakeNoNewSeries) {
  Metrics metrics = sample_metrics();
  const auto count_all = [&](int round) {
    for (std::string_view code : kStatusCodes) {
      for (std::string_view reason : kFinishReasons) metrics.request_ended(0, code, reason, 1);
    }
    for (int i = 0; i < 100; ++i) {
      const std::string word = "word " + std::to_string(round * 100 + i);
      metrics.request_ended(0, word, word, 1);
      metrics.request_rejected(0, word);
      metrics.request_rejected(-1, word);
    }
  };
  count_all(0);
  const size_t lines = lines_of(metrics.render());
  count_all(1);
  EXPECT_EQ(lines_of(metrics.render()), lines);
  const MetricsPage page = read_metrics_page(metrics.render());
  EXPECT_EQ(page.value("llm_rejected_total", {{"mode", "none"}, {"reason", "other"}}), 200);
  EXPECT_EQ(page.value("llm_requests_total", {{"mode", "bf16"}, {"code", "UNKNOWN"}, {"finish_reason", "other"}}), 202);
}

TEST(Metrics, APageStaysSmall) {
  std::vector<ModeFacts> modes(8, sample_modes()[0]);
  for (size_t i = 0; i < modes.size(); ++i) modes[i].id = "mode" + std::to_string(i);
  Metrics metrics("model", modes);
  const size_t start = lines_of(metrics.render());
  for (int mode = 0; mode < 8; ++mode) {
    for (std::string_view code : kStatusCodes) {
      for (std::string_view reason : kFinishReasons) metrics.request_ended(mode, code, reason, 1);
    }
  }
  EXPECT_LT(start, 8u * 600u);
  EXPECT_LT(lines_of(metrics.render()), 8u * 1000u);  // the most that can ever be
}

TEST(Metrics, TheMemorySampleIsReadAtEachScrape) {
  Metrics metrics("model", sample_modes());
  EXPECT_EQ(read_metrics_page(metrics.render()).families.count("llm_memory_bytes"), 0u);
  int scrapes = 0;
  metrics.on_scrape([&scrapes] {
    MemorySample sample = sample_memory();
    sample.entries[0].bytes = static_cast<uint64_t>(++scrapes);
    return sample;
  });
  const PageLabels owner = {{"device", "cpu"}, {"owner", "w4"}, {"category", "weights"}};
  EXPECT_EQ(read_metrics_page(metrics.render()).value("llm_memory_bytes", owner), 1);
  const MetricsPage page = read_metrics_page(metrics.render());
  EXPECT_EQ(page.value("llm_memory_bytes", owner), 2);
  EXPECT_EQ(page.value("llm_memory_peak_bytes",
                       {{"device", "cpu"}, {"owner", "w4"}, {"category", "weights"}, {"stage", "prefill"}}),
            1001);
  EXPECT_EQ(page.value("llm_memory_device_unaccounted_bytes", {{"device", "cpu"}}), -5);
  EXPECT_EQ(page.value("llm_memory_device_total_bytes", {{"device", "cpu"}}), 1 << 30);
  metrics.on_scrape({});
  EXPECT_EQ(read_metrics_page(metrics.render()).families.count("llm_memory_bytes"), 0u);
}

TEST(Metrics, StrangeNamesAreEscaped) {
  const std::string strange = "a \"quoted\" \\ name\nin two lines, {with=\"braces\"} and \xC3\xA9";
  Metrics metrics(strange, sample_modes());
  const MetricsPage page = read_metrics_page(metrics.render());
  EXPECT_THAT(page.problems, IsEmpty());
  EXPECT_EQ(page.families.at("llm_build_info").samples.at(0).labels.at("model"), strange);
}

TEST(Metrics, ScrapesWhileNumbersMoveAreWholePages) {
  Metrics metrics = sample_metrics();
  metrics.on_scrape(sample_memory);
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int mode = 0; mode < 2; ++mode) {
    threads.emplace_back([&metrics, &done, mode] {
      while (!done) {
        metrics.mode(mode).generated_tokens->Increment();
        metrics.mode(mode).step[1]->Observe(0.001);
        metrics.request_ended(mode, "OK", "stop", 0.1);
        metrics.request_rejected(mode, "draining");
        metrics.set_pages(1, 2, 3);
      }
    });
  }
  std::vector<std::string> problems;
  double last = 0;
  for (int i = 0; i < 30; ++i) {
    const MetricsPage page = read_metrics_page(metrics.render());
    problems.insert(problems.end(), page.problems.begin(), page.problems.end());
    const double now = page.value("llm_generated_tokens_total", {{"mode", "bf16"}});
    EXPECT_GE(now, last);
    last = now;
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_GT(metrics.request_count(0, "OK"), 0);
}

TEST(Buckets, AscendAndEndWhereTheyShould) {
  for (const Buckets& buckets :
       {first_token_buckets(), token_buckets(), queue_buckets(), request_buckets(), step_buckets(),
        token_count_buckets(), batch_buckets(), step_token_buckets(), kv_byte_buckets()}) {
    for (size_t i = 1; i < buckets.size(); ++i) EXPECT_LT(buckets[i - 1], buckets[i]);
  }
  EXPECT_NEAR(request_buckets().back(), 327.68, 1e-9);
  EXPECT_EQ(batch_buckets().back(), 512);
  EXPECT_EQ(kv_byte_buckets().back(), 17179869184.0);
  EXPECT_NEAR(step_buckets().back(), 1e-4 * std::pow(1.5, 24), 1e-6);
}

}  // namespace
}  // namespace halftone
