// Clients that attack the connection itself: bytes that no library would send. Each is held to a limit, and others are
// served as before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/http/raw_client.h"
#include "tests/server/net/frames.h"
#include "tests/server/rpc/live_server.h"

namespace halftone {
namespace {

using std::chrono::milliseconds;

constexpr char kTokenize[] = "/halftone.v1.Inference/Tokenize";

class Hostile : public testing::Test {
 protected:
  std::unique_ptr<RawClient> attacker() {
    auto client = std::make_unique<RawClient>(server_.rpc->port());
    EXPECT_TRUE(client->connected());
    client->send(greeting());
    return client;
  }
  // All that the attacker is told until it is thrown out.
  std::string thrown_out(RawClient& client) {
    bool hung_up = false;
    std::string told = client.read_all(std::chrono::seconds(10), &hung_up);
    EXPECT_TRUE(hung_up);
    return told;
  }
  bool is_told(RawClient& client, const std::string& what) {
    std::string told;
    for (int i = 0; i < 100 && told.find(what) == std::string::npos; ++i) told += client.read_all(milliseconds(50));
    EXPECT_THAT(told, testing::HasSubstr(what));
    return told.find(what) != std::string::npos;
  }
  void TearDown() override {
    const auto answer = server_.client().generate(text_request("the one"));
    EXPECT_TRUE(answer.ok()) << answer.status();
    EXPECT_TRUE(server_.rpc->answers());
    EXPECT_TRUE(server_.eventually([&] { return server_.idle(); }));
  }

  LiveServer server_;
};

// A message that says it is compressed is refused for that, whatever it would become.
TEST_F(Hostile, CompressedRequestsAreUnimplemented) {
  for (const char* encoding : {"gzip", "deflate"}) {
    auto client = attacker();
    client->send(frame(kHeadersFrame, kEndHeadersFlag, 1, call_headers(kTokenize, header("grpc-encoding", encoding))) +
                 frame(kDataFrame, kEndStreamFlag, 1, std::string("\1\0\0\0\4bomb", 9)));
    EXPECT_TRUE(is_told(*client, "grpc-status\00212")) << encoding;
  }
}

TEST_F(Hostile, CompressionOfTheWholeStreamIsNotUndone) {
  auto client = attacker();
  client->send(frame(kHeadersFrame, kEndHeadersFlag, 1, call_headers(kTokenize, header("content-encoding", "gzip"))) +
               frame(kDataFrame, kEndStreamFlag, 1, std::string("\1\0\0\0\4bomb", 9)));
  EXPECT_TRUE(is_told(*client, "grpc-status"));
}

TEST_F(Hostile, AnswersSayThatOnlyPlainMessagesAreTaken) {
  auto client = attacker();
  client->send(frame(kHeadersFrame, kEndHeadersFlag, 1, call_headers("/halftone.v1.Inference/GetServerInfo")) +
               frame(kDataFrame, kEndStreamFlag, 1, std::string("\0\0\0\0\0", 5)));
  EXPECT_TRUE(is_told(*client, "grpc-accept-encoding\bidentity"));
}

TEST_F(Hostile, AHeaderStringWithoutEnd) {
  auto client = attacker();
  // A literal whose length is said to be 2^30.
  client->send(frame(kHeadersFrame, 0, 1, std::string("\0\7:method\x7f\x81\xff\xff\xff\3", 14)));
  for (int i = 0; i < 100; ++i) client->send(frame(kContinuationFrame, 0, 1, std::string(4000, 'x')));
  EXPECT_THAT(thrown_out(*client), testing::HasSubstr("a header block"));
}

TEST_F(Hostile, StreamsWithoutData) {
  auto client = attacker();
  for (uint32_t id = 1; id < 4000; id += 2) {
    client->send(frame(kHeadersFrame, kEndHeadersFlag, id, call_headers(kTokenize)));
  }
  (void)thrown_out(*client);
}

TEST_F(Hostile, OtherProtocols) {
  for (const std::string& bytes :
       {std::string("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), std::string("\x16\x03\1\2\0"),
        std::string("SSH-2.0-x\r\n"), std::string(100, '\xff')}) {
    RawClient client(server_.rpc->port());
    client.send(bytes);
    (void)thrown_out(client);
  }
}

TEST_F(Hostile, ResetsAtOnce) {
  auto client = attacker();
  std::thread sender([&client] {
    for (uint32_t id = 1; id < 2000; id += 2) {
      client->send(frame(kHeadersFrame, kEndHeadersFlag | kEndStreamFlag, id, call_headers(kTokenize)) +
                   frame(kResetFrame, 0, id, std::string("\0\0\0\x08", 4)));
    }
  });
  TearDown();
  sender.join();
}

// Reflection's streams hold a thread each: beyond a few they are refused.
TEST_F(Hostile, IdleStreamsOfReflectionDoNotHoldThreadsWithoutBound) {
  auto client = attacker();
  std::string calls;
  for (uint32_t id = 1; id < 400; id += 2) {
    calls += frame(kHeadersFrame, kEndHeadersFlag, id,
                   call_headers("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"));
  }
  client->send(calls);
  (void)client->read_all(milliseconds(500));
  size_t threads = 0;
  for ([[maybe_unused]] const auto& task : std::filesystem::directory_iterator("/proc/self/task")) ++threads;
  EXPECT_LT(threads, 100u);
}

TEST_F(Hostile, OneClientsConnectionsDoNotShutOutOthers) {
  std::vector<std::unique_ptr<RawClient>> idle;
  for (int i = 0; i < 200; ++i) idle.push_back(attacker());
  TearDown();
  idle.clear();
  TearDown();
}

}  // namespace
}  // namespace halftone
