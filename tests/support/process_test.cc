#include "tests/support/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <set>
#include <string>

namespace halftone {
namespace {

using ::testing::HasSubstr;
using Milliseconds = Process::Milliseconds;

constexpr Milliseconds kLong{20'000};
constexpr Milliseconds kShort{50};

std::unique_ptr<Process> shell(const std::string& script) {
  auto process = Process::start({{"sh", "-c", script}, {}, ""});
  EXPECT_TRUE(process.ok()) << process.status();
  return process.ok() ? *std::move(process) : nullptr;
}

TEST(Process, LinesComeOneByOneFromEachStream) {
  const auto process = shell("echo one; echo two; echo bad >&2; printf three");
  EXPECT_EQ(process->read_line(kLong), "one");
  EXPECT_EQ(process->read_line(kLong), "two");
  EXPECT_EQ(process->read_line(kLong), "three");
  EXPECT_EQ(process->read_line(kLong), std::nullopt);
  EXPECT_EQ(process->read_line(kLong, Process::From::kErrors), "bad");
  EXPECT_EQ(process->output(), "one\ntwo\nthree");
  EXPECT_EQ(process->errors(), "bad\n");
}

TEST(Process, ALineThatDoesNotComeIsNotWaitedForForever) {
  const auto process = shell("printf half; exec sleep 1000");
  EXPECT_EQ(process->read_line(kShort), std::nullopt);
  EXPECT_TRUE(process->running());
  EXPECT_EQ(process->wait(kShort), std::nullopt);
}

TEST(Process, ALineIsFoundAmongOthers) {
  const auto process = shell("echo loading; echo listening on port 7; echo more");
  EXPECT_EQ(process->wait_for_line("port", kLong), "listening on port 7");
  EXPECT_EQ(process->wait_for_line("never", kLong), std::nullopt);
}

TEST(Process, ItsEndTellsCodeOrSignal) {
  const auto exits = shell("exit 3");
  const auto end = exits->wait(kLong);
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->code, 3);
  EXPECT_EQ(end->signal, 0);
  EXPECT_FALSE(exits->running());
  const auto killed = shell("echo up; exec sleep 1000");
  ASSERT_EQ(killed->read_line(kLong), "up");
  killed->send_signal(SIGTERM);
  const auto second = killed->wait(kLong);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->code, -1);
  EXPECT_EQ(second->signal, SIGTERM);
  killed->send_signal(SIGKILL);  // nobody is there any more
}

TEST(Process, ReadsItsInput) {
  const auto process = shell("while read line; do echo got $line; done; echo end");
  EXPECT_TRUE(process->write("a\n"));
  EXPECT_EQ(process->read_line(kLong), "got a");
  process->end_input();
  EXPECT_EQ(process->read_line(kLong), "end");
  ASSERT_TRUE(process->wait(kLong).has_value());
}

TEST(Process, WritingToOneThatHasGoneIsNoCatastrophe) {
  const auto process = shell("exec true");
  ASSERT_TRUE(process->wait(kLong).has_value());
  EXPECT_FALSE(process->write("anybody?\n"));
}

TEST(Process, MuchOutputNeverBlocksIt) {
  const auto process = shell("yes 0123456789abcdef | head -c 3000000; yes 0123456789abcdef | head -c 3000000 >&2");
  ASSERT_TRUE(process->wait(kLong).has_value());
  EXPECT_EQ(process->output().size(), 3'000'000u);
  EXPECT_EQ(process->errors().size(), 3'000'000u);
}

TEST(Process, WhatCannotBeStartedIsAnErrorThatNamesIt) {
  const auto missing = Process::start({{"/no/such/program"}, {}, ""});
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("/no/such/program"));
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(Process::start({{"sh"}, {}, "/no/such/directory"}).ok());
  EXPECT_FALSE(Process::start({}).ok());
}

TEST(Process, GetsItsEnvironmentAndDirectory) {
  ::setenv("HALFTONE_TEST_KEPT", "kept", 1);
  ::setenv("HALFTONE_TEST_CHANGED", "old", 1);
  const auto result = run_process(
      {{"sh", "-c", "echo $HALFTONE_TEST_KEPT $HALFTONE_TEST_CHANGED $(pwd)"}, {"HALFTONE_TEST_CHANGED=new"}, "/"},
      kLong);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->output, "kept new /\n");
  EXPECT_EQ(result->end.code, 0);
}

TEST(Process, RunGivesUpInTime) {
  const auto result = run_process({{"sh", "-c", "echo so far; exec sleep 1000"}, {}, ""}, Milliseconds(500));
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("so far"));
}

TEST(Process, NothingIsLeftWhenItsOwnerGoes) {
  pid_t id = 0;
  {
    const auto process = shell("trap '' TERM INT; echo up; exec sleep 1000");
    ASSERT_EQ(process->read_line(kLong), "up");
    id = process->id();
  }
  EXPECT_EQ(::kill(id, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST(Process, AGrandchildThatKeepsThePipeIsNotWaitedFor) {
  const auto process = shell("sleep 5 & echo parent");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(process->wait(Milliseconds(500)).has_value());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(4));
  EXPECT_EQ(process->output(), "parent\n");
}

TEST(FreePort, IsAPort) {
  std::set<int> ports;
  for (int i = 0; i < 10; ++i) {
    const int port = free_port();
    EXPECT_GT(port, 0);
    EXPECT_LT(port, 65536);
    ports.insert(port);
  }
  EXPECT_GT(ports.size(), 1u);
}

}  // namespace
}  // namespace halftone
