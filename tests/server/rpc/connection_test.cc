// Clients that hold on to a connection without doing their part.
#include <arpa/inet.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "halftone/v1/inference.grpc.pb.h"
#include "tests/server/rpc/live_server.h"

namespace halftone {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// A stub whose side of a stream holds 64 KiB and no more.
std::unique_ptr<v1::Inference::Stub> narrow_stub(const LiveServer& server) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  return v1::Inference::NewStub(
      grpc::CreateCustomChannel(server.address(), grpc::InsecureChannelCredentials(), arguments));
}

TEST(Connection, AReaderThatStopsReadingLosesItsPlaceAndLearnsWhy) {
  LiveOptions options;
  options.executor.context = 2048;
  options.executor.pages = 256;
  options.executor.sleeps = true;
  options.executor.modes[0].step_time = 1'000'000;
  options.engine.stall_limit = 200'000'000;
  LiveServer server(options);
  auto stub = narrow_stub(server);
  grpc::ClientContext context;
  auto request = text_request("the one", 1900);
  request.mutable_output()->set_logprobs(20);
  auto reader = stub->GenerateStream(&context, request);
  v1::GenerateResponse message;
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_TRUE(
      server.eventually([&] { return server.idle() && server.metrics.request_count(0, "RESOURCE_EXHAUSTED") == 1; }));
  uint32_t tokens = 1;
  while (reader->Read(&message)) tokens += static_cast<uint32_t>(message.tokens_size());
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_LT(tokens, 1900u);
  EXPECT_EQ(context.GetServerTrailingMetadata().count("usage-bin"), 1u);
}

TEST(Connection, AReaderThatNeverReadsAgainDoesNotHoldUpTheEnd) {
  LiveOptions options;
  options.executor.context = 2048;
  options.executor.pages = 256;
  LiveServer server(options);
  auto stub = narrow_stub(server);
  grpc::ClientContext context;
  auto request = text_request("the one", 1900);
  request.mutable_output()->set_logprobs(20);
  auto reader = stub->GenerateStream(&context, request);
  EXPECT_TRUE(server.eventually([&] { return server.idle() && server.metrics.request_count(0, "OK") == 1; }));
  const auto begin = Clock::now();
  server.rpc->shutdown(0.2);
  EXPECT_LT(seconds_since(begin), 5);
  context.TryCancel();
  (void)reader->Finish();
}

// Speaks HTTP/2 just far enough to be accepted, and then not a word: no answer to a ping either.
int silent_client(int port) {
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const std::string hello("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 24 + 9);
  EXPECT_EQ(send(client, hello.data(), hello.size(), MSG_NOSIGNAL), static_cast<ssize_t>(hello.size()));
  return client;
}

// True when the server closed the connection within so many seconds.
bool closed_within(int client, double seconds) {
  const auto begin = Clock::now();
  char buffer[1024];
  while (seconds_since(begin) < seconds) {
    pollfd polled{client, POLLIN, 0};
    if (poll(&polled, 1, 50) > 0 && recv(client, buffer, sizeof buffer, 0) <= 0) return true;
  }
  return false;
}

TEST(Connection, AClientThatDoesNotAnswerAPingIsGone) {
  LiveOptions options;
  options.keepalive_seconds = 0.3;
  LiveServer server(options);
  const int client = silent_client(server.rpc->port());
  EXPECT_TRUE(closed_within(client, 5));
  close(client);
}

TEST(Connection, BeforeThatItIsLeftAlone) {
  LiveOptions options;
  options.keepalive_seconds = 30;
  LiveServer server(options);
  const int client = silent_client(server.rpc->port());
  EXPECT_FALSE(closed_within(client, 1));
  close(client);
}

}  // namespace
}  // namespace halftone
