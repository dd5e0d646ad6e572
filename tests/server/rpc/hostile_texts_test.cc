// Clients that send texts to cost as much as they can, and what others, the metrics and the memory's bounds see of it.
#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "client/status.h"
#include "halftone/v1/inference.grpc.pb.h"
#include "tests/server/rpc/live_server.h"
#include "tests/support/exposition.h"

namespace halftone {
namespace {

using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

constexpr size_t kMost = (4 << 20) - 64;

double refused(LiveServer& server, const std::string& reason) {
  const MetricsPage page = read_metrics_page(server.metrics.render());
  return page.value("llm_rejected_total", {{"mode", "none"}, {"reason", reason}});
}

// A call whose answer is not taken until read().
class UnreadCall {
 public:
  UnreadCall(const LiveServer& server, const std::string& method, const std::string& request)
      : stub_(grpc::CreateCustomChannel(server.address(), grpc::InsecureChannelCredentials(), own_connection())) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    call_ = stub_.PrepareCall(&context_, "/halftone.v1.Inference/" + method, &queue_);
    call_->StartCall(nullptr);
    next();
    grpc::Slice slice(request);
    call_->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
    next();
  }
  ~UnreadCall() {
    context_.TryCancel();
    read();
  }
  grpc::Status read() {
    if (status_) return *status_;
    grpc::ByteBuffer reply;
    for (call_->Read(&reply, nullptr); next(); call_->Read(&reply, nullptr)) bytes_ += reply.Length();
    status_.emplace();
    call_->Finish(&*status_, nullptr);
    next();
    return *status_;
  }
  size_t bytes() const { return bytes_; }

 private:
  static grpc::ChannelArguments own_connection() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // else it would take megabytes before it is asked to
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 65535);
    return arguments;
  }
  bool next() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }
  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  std::optional<grpc::Status> status_;
  size_t bytes_ = 0;
};

TEST(HostileTexts, HealthAnswersWhileTheyAreWorkedOn) {
  LiveServer server;
  std::atomic<bool> done{false};
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&, i] {
      v1::GenerateRequest generate = text_request(std::string(kMost - 100, "ab1 "[i]));
      v1::TokenizeRequest tokenize;
      tokenize.set_text(std::string(2 << 20, 'a'));
      while (!done) {
        EXPECT_FALSE(server.client().generate(generate).ok());
        (void)server.client().tokenize(tokenize);
      }
    });
  }
  for (int i = 0; i < 5; ++i) {
    const auto began = Clock::now();
    EXPECT_EQ(*server.client().health(""), "SERVING");
    EXPECT_TRUE(server.client().generate(text_request("the", 2)).ok()) << "small texts pass large ones";
    EXPECT_LT(Clock::now() - began, std::chrono::seconds(5));
  }
  done = true;
  for (std::thread& client : clients) client.join();
}

TEST(HostileTexts, LongerThanAnyPromptIsRefusedByItsBytes) {
  LiveServer server;
  const auto began = Clock::now();
  const absl::Status status = server.client().generate(text_request(std::string(kMost - 100, 'a'))).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("the context is 256"));
  EXPECT_LT(Clock::now() - began, std::chrono::seconds(5));
  EXPECT_GE(refused(server, "invalid"), 1);
}

TEST(HostileTexts, ManyMessagesOfAChatAreRefusedBeforeTheyCost) {
  LiveServer server;
  v1::TokenizeRequest few;
  for (int i = 0; i < 5000; ++i) few.mutable_chat()->add_messages();
  EXPECT_THAT(std::string(server.client().tokenize(few).status().message()),
              HasSubstr("chat.messages has 5000 entries, the limit is 4096"));
  for (int i = 0; i < 461'026; ++i) few.mutable_chat()->add_messages();
  const absl::Status status = server.client().tokenize(few).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
}

TEST(HostileTexts, AnswersThatDoNotFitAreRefusedBeforeTheyAreMade) {
  LiveServer server;
  v1::TokenizeRequest tokenize;
  tokenize.set_text(std::string(kMost, 'q'));
  EXPECT_THAT(std::string(server.client().tokenize(tokenize).status().message()), HasSubstr("the limit is 2097152"));
  tokenize.set_text(std::string(2 << 20, 'q'));  // a token for each byte
  EXPECT_THAT(std::string(server.client().tokenize(tokenize).status().message()),
              HasSubstr("max_response_bytes is 4194304: send the text in parts"));
  v1::DetokenizeRequest detokenize;
  for (int i = 0; i < 1'000'000; ++i) detokenize.add_ids(kFakeFirstByte + 0xff);
  const auto text = server.client().detokenize(detokenize);
  ASSERT_TRUE(text.ok()) << text.status();
  for (int i = 0; i < 48'577; ++i) detokenize.add_ids(1);
  EXPECT_THAT(std::string(server.client().detokenize(detokenize).status().message()),
              HasSubstr("the limit is 1048576"));
}

TEST(HostileTexts, AnswersAreChargedUntilTheyAreRead) {
  LiveServer server;
  v1::DetokenizeRequest request;
  for (int i = 0; i < 1'000'000; ++i) request.add_ids(kFakeFirstByte + 'a');
  std::vector<std::unique_ptr<UnreadCall>> calls;
  for (int i = 0; i < 8; ++i) {
    calls.push_back(std::make_unique<UnreadCall>(server, "Detokenize", request.SerializeAsString()));
  }
  const auto charged = [&] { return server.client().info()->load().text_bytes(); };
  EXPECT_TRUE(server.eventually([&] {
    const v1::Load load = server.client().info()->load();
    return load.text_calls() == 8 && load.text_bytes() >= 8'000'000 && load.text_bytes() < 9'000'000;
  })) << charged();
  for (auto& call : calls) {
    EXPECT_TRUE(call->read().ok());
    EXPECT_GT(call->bytes(), 999'999u);
  }
  EXPECT_TRUE(server.eventually([&] { return charged() == 0; })) << charged();
}

TEST(HostileTexts, CancelledOnesAreNotWorkedOn) {
  LiveServer server;
  v1::TokenizeRequest request;
  request.set_text(std::string(2 << 20, ' '));
  const auto began = Clock::now();
  for (int i = 0; i < 30; ++i) {
    EXPECT_FALSE(server.client().tokenize(request, {.deadline_seconds = 0.02}).ok());
  }
  EXPECT_TRUE(server.eventually([&] { return server.client().info()->load().text_calls() == 0; }));
  EXPECT_LT(Clock::now() - began, std::chrono::seconds(20));
}

TEST(Malformed, MessagesAreInvalidAndCounted) {
  LiveServer server;
  int count = 0;
  for (const char* method : {"Generate", "GenerateStream", "Score", "Tokenize", "Detokenize"}) {
    const grpc::Status status = UnreadCall(server, method, std::string(20, '\xff')).read();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method;
    EXPECT_THAT(status.error_message(), HasSubstr("the message is not a ")) << method;
    EXPECT_EQ(refused(server, "invalid"), ++count) << method;
  }
  for (const char* method : {"Generate", "GenerateStream", "Score"}) {
    const grpc::Status status = UnreadCall(server, method,
                                           "\x12\x03"
                                           "ab\xff")
                                    .read();
    EXPECT_THAT(status.error_message(), HasSubstr("text is not UTF-8 (byte 2 of it)")) << method;
    EXPECT_EQ(refused(server, "invalid"), ++count) << method;
  }
}

TEST(Deadline, InThousandsOfYearsIsTaken) {
  LiveServer server;
  auto stub = v1::Inference::NewStub(grpc::CreateChannel(server.address(), grpc::InsecureChannelCredentials()));
  for (int64_t hours : {int64_t{3'000'000}, int64_t{20'000'000}}) {
    grpc::ClientContext context;
    context.set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_hours(hours, GPR_TIMESPAN)));
    v1::GenerateResponse response;
    const grpc::Status status = stub->Generate(&context, text_request("the"), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
}

// What a stranger learns from receipts about what others asked: nothing, unless both know the same salt.
TEST(PrefixCache, IsNoOracle) {
  LiveServer server;
  const auto ask = [&](const std::string& text, const std::string& salt) {
    v1::GenerateRequest request = text_request(text, 2);
    request.mutable_output()->set_receipt(true);
    request.mutable_scheduling()->set_cache_salt(salt);
    const auto response = server.client().generate(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->receipt() : v1::Receipt();
  };
  const std::string secret(100, '!'), wrong = std::string(50, '!') + std::string(50, '?');
  (void)ask(secret, "");
  for (const std::string& guess : {secret, wrong}) {
    const v1::Receipt receipt = ask(guess, "");
    EXPECT_EQ(receipt.prompt_tokens(), 102u);
    EXPECT_EQ(receipt.cached_tokens(), 0u);
    EXPECT_EQ(receipt.flops(), 0);
    EXPECT_EQ(receipt.bytes_moved(), 0);
  }
  EXPECT_GT(read_metrics_page(server.metrics.render()).value("llm_prefix_cache_hit_tokens_total", {{"mode", "w4a16"}}),
            0)
      << "the pages are shared all the same";
  EXPECT_EQ(ask(secret, "mine").cached_tokens(), 0u) << "another salt shares nothing";
  EXPECT_GT(ask(secret, "mine").cached_tokens(), 0u);
  EXPECT_GT(ask(secret, "mine").flops(), 0);
}

TEST(StopString, ThatIsASpecialTokenEndsTheAnswer) {
  LiveServer server;
  server.executor.choose(
      [](ModeIndex, std::span<const int32_t> content) { return content.size() < 6 ? kFakeFirstWord : kFakeSpecial; });
  v1::GenerateRequest request = text_request("the", 50);
  request.mutable_stopping()->add_stop("<tool>");
  const auto response = server.client().generate(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->finish().reason(), v1::Finish::STOP);
  EXPECT_EQ(response->finish().stop_token_id(), static_cast<uint32_t>(kFakeSpecial));
}

}  // namespace
}  // namespace halftone
