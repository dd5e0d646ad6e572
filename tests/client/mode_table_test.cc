// The table of `halftone modes`.
#include "client/command/mode_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>

#include "client/command/table.h"

namespace halftone {
namespace {

using testing::HasSubstr;

v1::Mode measured_mode(const std::string& id) {
  v1::Mode mode;
  mode.set_id(id);
  mode.set_import("requantized");
  mode.set_kernel("avx512vnni");
  mode.set_bits_per_weight(16);
  mode.set_own_bytes(uint64_t{13'400} << 20);
  mode.set_shared_bytes(uint64_t{7'100} << 20);
  mode.set_kv_bytes_per_token(131'072);
  mode.set_kv_capacity_tokens(1'807'360);
  v1::Served& served = *mode.mutable_served();
  served.set_mean_ttft_seconds(12.345);
  served.set_mean_tpot_seconds(0.0301);
  served.set_generated_tokens_per_second(1234.5);
  served.set_interference_seconds(98'765);
  v1::Quality& quality = *mode.mutable_quality();
  quality.set_kl_mean(0.00512);
  quality.set_perplexity(17.262);
  quality.set_top1(0.9713);
  return mode;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> cells_of(const std::string& line) {
  std::istringstream stream(line);
  return {std::istream_iterator<std::string>(stream), {}};
}

TEST(ModeTable, FitsTerminalsOf120ColumnsHoweverLargeItsNumbersAre) {
  v1::ServerInfo info;
  for (const char* id : {"bf16", "w8g128a8t+kv8", "recipe:mixed-ml"}) *info.add_modes() = measured_mode(id);
  for (v1::Mode& mode : *info.mutable_modes()) mode.mutable_quality()->set_label("a label");
  for (const std::string& line : lines_of(mode_table(info))) EXPECT_LE(line.size(), 120u) << line;
}

TEST(ModeTable, HasARowForEachMode) {
  v1::ServerInfo info;
  *info.add_modes() = measured_mode("w4a8+kv8");
  const auto lines = lines_of(mode_table(info));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(cells_of(lines[2]),
              testing::ElementsAre("w4a8+kv8", "16.00", "13400", "7100", "131072", "1807360", "12345", "30.1", "1234",
                                   "98765", "0.00512", "17.26", "97.1", "requantized", "avx512vnni"));
}

TEST(ModeTable, WhatWasNotMeasuredIsADash) {
  v1::ServerInfo info;
  v1::Mode* mode = info.add_modes();
  mode->set_id("bf16");
  mode->set_import("exact");
  mode->set_kernel("avx2");
  EXPECT_THAT(
      cells_of(lines_of(mode_table(info))[2]),
      testing::ElementsAre("bf16", "0.00", "0", "0", "0", "0", "-", "-", "-", "0", "-", "-", "-", "exact", "avx2"));
}

TEST(ModeTable, QualityThatHasToBeReadWithCareHasALetterForTheReason) {
  v1::ServerInfo info;
  for (const char* id : {"w4a8", "w8a8", "w4a16"}) *info.add_modes() = measured_mode(id);
  info.mutable_modes(0)->mutable_quality()->set_label("the source's own grid");
  info.mutable_modes(2)->mutable_quality()->set_label("the source's own grid");
  const auto lines = lines_of(mode_table(info));
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_THAT(lines[2], HasSubstr("0.00512a"));
  EXPECT_THAT(lines[3], HasSubstr("0.00512 "));
  EXPECT_THAT(lines[4], HasSubstr("0.00512a"));
  EXPECT_EQ(lines[5], "  a: the source's own grid");
}

TEST(ModeTable, ABrokenModesQualityIsSeen) {
  v1::ServerInfo info;
  *info.add_modes() = measured_mode("bf16");
  info.mutable_modes(0)->mutable_quality()->set_kl_mean(std::numeric_limits<double>::quiet_NaN());
  info.mutable_modes(0)->mutable_quality()->set_perplexity(123'456'789);
  EXPECT_THAT(mode_table(info), HasSubstr("nan"));
  EXPECT_THAT(mode_table(info), HasSubstr("1.2e+08"));
  EXPECT_LE(lines_of(mode_table(info))[2].size(), 120u);
}

TEST(ShortNumber, HasThreeDigitsOrAllBeforeThePoint) {
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(0.12345), "0.123");
  EXPECT_EQ(short_number(0.99951), "1.00");
  EXPECT_EQ(short_number(9.996), "10.0");
  EXPECT_EQ(short_number(12.34), "12.3");
  EXPECT_EQ(short_number(99.96), "100");
  EXPECT_EQ(short_number(12345.6), "12346");
  EXPECT_EQ(short_number(-1.5), "-1.50");
}

}  // namespace
}  // namespace halftone
