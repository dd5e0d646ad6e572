#include "server/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "server/line_limit.h"

namespace halftone {
namespace {

using std::chrono::milliseconds;

// A log into a pipe; what was read of it once the log has ended.
class LogInPipe : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(pipe2(ends_, O_CLOEXEC), 0); }
  void TearDown() override {
    for (const int end : ends_) close(end);
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("none"));
  }
  std::string read_all() {
    fcntl(ends_[0], F_SETFL, O_NONBLOCK);
    std::string text;
    char part[65536];
    for (ssize_t count; (count = read(ends_[0], part, sizeof part)) > 0;) text.append(part, static_cast<size_t>(count));
    return text;
  }

  int ends_[2] = {-1, -1};
};

TEST_F(LogInPipe, LinesComeInTheirOrderAndAreThereAtTheEnd) {
  {
    const Log log(ends_[1]);
    for (int i = 0; i < 100; ++i) spdlog::info("line {}", i);
  }
  const std::string text = read_all();
  EXPECT_THAT(text, testing::ContainsRegex("^[0-9][0-9]:[0-9][0-9]:[0-9][0-9] info line 0\n"));
  EXPECT_THAT(text, testing::EndsWith(" info line 99\n"));
}

TEST_F(LogInPipe, NobodyWaitsForAReaderThatDoesNotRead) {
  const auto begin = std::chrono::steady_clock::now();
  {
    const Log log(ends_[1]);
    for (int i = 0; i < 20000; ++i) spdlog::info("a line that nobody reads, of some length, so that the pipe is full");
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(8)) << "nor at the end";
  EXPECT_GT(read_all().size(), 4096u);
}

TEST_F(LogInPipe, WhatWasLeftOutIsCounted) {
  {
    const Log log(ends_[1]);
    for (int i = 0; i < 20000; ++i) spdlog::info("a line that nobody reads, of some length, so that the pipe is full");
    std::string first(100000, ' ');
    ASSERT_GT(read(ends_[0], first.data(), first.size()), 0);
  }
  std::string text;
  for (std::string more; !(more = read_all()).empty(); usleep(20000)) text += more;
  EXPECT_THAT(text, testing::ContainsRegex("[0-9]+ lines of the log left out\n"));
}

TEST_F(LogInPipe, AReaderThatIsGoneEndsNothing) {
  close(ends_[0]);
  ends_[0] = -1;
  const Log log(ends_[1]);
  for (int i = 0; i < 100; ++i) spdlog::info("line {}", i);
}

TEST_F(LogInPipe, NobodyWritesALineOfHisOwn) {
  {
    const Log log(ends_[1]);
    spdlog::warn("te: {}", "x\n12:00:00 error forged\x1b[2J\r");
  }
  const std::string text = read_all();
  EXPECT_THAT(text, testing::EndsWith("warning te: x\\n12:00:00 error forged\\x1b[2J\\r\n"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

TEST(LogText, IsUtf8WithoutControl) {
  EXPECT_EQ(log_text("plain, größer, 日本, 😀"), "plain, größer, 日本, 😀");
  EXPECT_EQ(log_text(std::string("a\0b\x7f\t", 5)), "a\\x00b\\x7f\\t");
  EXPECT_EQ(log_text("\xff\xc3(\xed\xa0\x80\xf5\xe2\x82"), "\\xff\\xc3(\\xed\\xa0\\x80\\xf5\\xe2\\x82");
  EXPECT_EQ(log_text("\xc2\x9b\xe2\x80\xa8\xe2\x80\xae"), "\\x9b\\u2028\\u202e");
  EXPECT_EQ(log_text(""), "");
}

TEST(LogText, IsCutAtALine) {
  const std::string text = log_text(std::string(1 << 20, 'x'));
  EXPECT_LT(text.size(), 5000u);
  EXPECT_THAT(text, testing::EndsWith("… (1048576 bytes)"));
}

TEST(LineLimit, CountsWhatItLeavesOut) {
  LineLimit limit(2);
  const LineLimit::Time now = LineLimit::Time{} + std::chrono::hours(1);
  EXPECT_EQ(limit.may_write(now), 0u);
  EXPECT_EQ(limit.may_write(now + milliseconds(1)), 0u);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(limit.may_write(now + milliseconds(2)), std::nullopt);
  EXPECT_EQ(limit.may_write(now + milliseconds(1001)), 5u);
  EXPECT_EQ(limit.may_write(now + milliseconds(1002)), 0u);
}

}  // namespace
}  // namespace halftone
