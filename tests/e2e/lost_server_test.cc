// A server that dies without a word: its clients hear of it at once, and nobody hangs.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "client/status.h"
#include "tests/e2e/server_process.h"
#include "tests/e2e/storm.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::unique_ptr<ServerProcess> start_server(const TestDirectory& directory) {
  TinyCheckpoint tiny;
  tiny.config.context = 8192;
  write_tiny_gguf(directory.file("tiny.gguf"), tiny);
  auto server = ServerProcess::start({directory.file("tiny.gguf"), "w4a16", {"--kv-bytes", "32MiB"}});
  EXPECT_TRUE(server.ok()) << server.status();
  return server.ok() ? *std::move(server) : nullptr;
}

v1::GenerateRequest long_request() {
  v1::GenerateRequest request;
  request.set_text("once upon a time");
  request.mutable_stopping()->set_max_new_tokens(8000);
  request.mutable_stopping()->set_ignore_eos(true);
  return request;
}

TEST(LostServer, StreamsInTheMiddleEndUnavailableAtOnce) {
  TestDirectory directory;
  auto server = start_server(directory);
  ASSERT_NE(server, nullptr);
  constexpr int kStreams = 8;
  std::atomic<int> begun{0};
  std::vector<std::thread> threads;
  std::vector<StreamEnd> ends(kStreams);
  std::vector<Clock::time_point> times(kStreams);
  for (size_t i = 0; i < kStreams; ++i) {
    threads.emplace_back([&, i] {
      // Four attempts: a stream that has begun is never tried again.
      Client client = server->client(4);
      ends[i] = stream(client, long_request(), {}, [&](const StreamEnd& so_far) { begun += so_far.messages == 2; });
      times[i] = Clock::now();
    });
  }
  EXPECT_TRUE(eventually(30s, [&] { return begun == kStreams; }));
  const auto killed = Clock::now();
  server->process().send_signal(SIGKILL);
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < kStreams; ++i) {
    EXPECT_TRUE(absl::IsUnavailable(ends[i].status)) << ends[i].status;
    EXPECT_GT(ends[i].ids.size(), 0u);
    EXPECT_LT(std::chrono::duration<double>(times[i] - killed).count(), 2);
  }
}

TEST(LostServer, WaitingCallsEndUnavailableAtOnce) {
  TestDirectory directory;
  auto server = start_server(directory);
  ASSERT_NE(server, nullptr);
  Clock::time_point ended;
  absl::Status status;
  std::thread waiting([&] {
    status = server->client().generate(long_request()).status();
    ended = Clock::now();
  });
  EXPECT_TRUE(eventually(30s, [&] { return sum(server->page(), "llm_requests_running") == 1; }));
  const auto killed = Clock::now();
  server->process().send_signal(SIGKILL);
  waiting.join();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_LT(std::chrono::duration<double>(ended - killed).count(), 2);
}

TEST(LostServer, LaterCallsGiveUpAfterTheirAttempts) {
  TestDirectory directory;
  auto server = start_server(directory);
  ASSERT_NE(server, nullptr);
  Client client({.server = server->address(), .attempts = 3, .first_pause_seconds = 0.05});
  ASSERT_TRUE(client.info().ok());
  server->process().send_signal(SIGKILL);
  ASSERT_TRUE(server->process().wait(10s).has_value());
  const auto began = Clock::now();
  const StreamEnd end = stream(client, long_request());
  EXPECT_TRUE(absl::IsUnavailable(end.status)) << end.status;
  EXPECT_EQ(end.messages, 0);
  EXPECT_EQ(reason_of(end.status), "") << "who would have said that?";
  EXPECT_LT(std::chrono::duration<double>(Clock::now() - began).count(), 10);
}

}  // namespace
}  // namespace halftone
