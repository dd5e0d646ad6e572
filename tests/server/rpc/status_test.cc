// Statuses as published, with the details that clients act on; health; the way down.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "client/status.h"
#include "google/rpc/error_details.pb.h"
#include "tests/server/rpc/live_server.h"

namespace halftone {
namespace {

using testing::HasSubstr;

absl::Status status_of(LiveServer& server, const std::string& request) {
  return server.client().generate(from_text<v1::GenerateRequest>(request)).status();
}

TEST(Status, AnInvalidFieldComesWithItsNameAndAWholeMessage) {
  LiveServer server;
  const absl::Status status = status_of(server, "text: 'the' sampling { top_p: 1.7 }");
  EXPECT_EQ(status.ToString().substr(0, 56), "INVALID_ARGUMENT: sampling.top_p = 1.7 is outside (0, 1]");
  ASSERT_EQ(violations_of(status).field_violations_size(), 1);
  EXPECT_EQ(violations_of(status).field_violations(0).field(), "sampling.top_p");
  EXPECT_EQ(reason_of(status), "INVALID_FIELD");
}

TEST(Status, StreamedCallsAreRefusedAlike) {
  LiveServer server;
  int messages = 0;
  const absl::Status status = server.client().generate(from_text<v1::GenerateRequest>("text: 'the' mode: 'w2'"),
                                                       [&](const v1::GenerateResponse&) { ++messages; });
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("the modes are w4a16, w4a16+kv8"));
  EXPECT_EQ(messages, 0);
}

TEST(Status, WhatNeverFitsIsOutOfRangeWithTheNumbers) {
  LiveOptions options;
  options.executor.pages = 4;
  LiveServer server(options);
  const absl::Status context = status_of(server, "text: 'the' stopping { max_new_tokens: 300 }");
  EXPECT_TRUE(absl::IsOutOfRange(context)) << context;
  EXPECT_THAT(std::string(context.message()), HasSubstr("the context is 256"));
  const absl::Status pages = status_of(server, "text: 'the' stopping { max_new_tokens: 200 }");
  EXPECT_TRUE(absl::IsOutOfRange(pages)) << pages;
  EXPECT_THAT(std::string(pages.message()), HasSubstr("64"));
}

TEST(Status, AFullQueueSaysWhenToComeBack) {
  LiveOptions options;
  options.engine.limits.max_queue_requests = 1;
  options.engine.max_running = 1;
  LiveServer server(options);
  server.executor.hold();
  Cancellation cancellation;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      (void)server.client().generate(text_request("wait", 100), {std::nullopt, &cancellation});
    });
    EXPECT_TRUE(server.eventually([&] { return server.engine->load().running + server.engine->load().waiting > 0; }));
    server.executor.wait_until_held();
  }
  EXPECT_TRUE(server.eventually([&] { return server.engine->load().waiting >= 1; }));
  const absl::Status status = server.client().generate(text_request("one too many")).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(reason_of(status), "QUEUE_FULL");
  ASSERT_TRUE(retry_after_seconds(status).has_value());
  EXPECT_GT(*retry_after_seconds(status), 0);
  cancellation.cancel();
  server.executor.release();
  for (std::thread& thread : threads) thread.join();
}

TEST(Status, ALivingIdIsRefusedASecondTime) {
  LiveServer server;
  server.executor.hold();
  Cancellation cancellation;
  auto request = text_request("wait", 100);
  request.set_request_id("the same");
  std::thread first([&] { (void)server.client().generate(request, {std::nullopt, &cancellation}); });
  server.executor.wait_until_held();
  EXPECT_TRUE(absl::IsAlreadyExists(server.client().generate(request).status()));
  cancellation.cancel();
  server.executor.release();
  first.join();
}

TEST(Status, AFailureInTheMiddleOfAStreamTellsWhatWasUsed) {
  LiveServer server;
  server.executor.fail_at_step(5);
  int tokens = 0;
  const absl::Status status = server.client().generate(
      text_request("the one", 100), [&](const v1::GenerateResponse& m) { tokens += m.tokens_size(); });
  EXPECT_TRUE(absl::IsInternal(status)) << status;
  EXPECT_GT(tokens, 0);
  const auto usage = usage_of(status);
  ASSERT_TRUE(usage.has_value());
  EXPECT_EQ(usage->generated_tokens(), static_cast<uint32_t>(tokens));
  EXPECT_GT(usage->prompt_tokens(), 0u);
}

TEST(Status, ARequestThatIsTooLargeIsRefusedBeforeItIsRead) {
  LiveServer server;
  v1::GenerateRequest request;
  request.set_text(std::string(5 << 20, 'a'));
  EXPECT_TRUE(absl::IsResourceExhausted(server.client().generate(request).status()));
  EXPECT_TRUE(server.client().generate(text_request("still there")).ok());
}

// Statuses travel as metadata, of which a client takes 8 KiB.
TEST(Status, WhateverTheClientSentTheStatusStaysShortEnoughToArrive) {
  LiveServer server;
  const std::string huge(100'000, 'x');
  v1::GenerateRequest role;
  role.mutable_chat()->add_messages()->set_role(huge);
  v1::GenerateRequest mode = text_request("the");
  mode.set_mode(huge);
  EXPECT_TRUE(absl::IsInvalidArgument(server.client().generate(role).status()));
  EXPECT_TRUE(absl::IsNotFound(server.client().generate(mode).status()));
  v1::GenerateRequest all = text_request("the");
  for (int i = 0; i < 500; ++i) all.mutable_sampling()->add_logit_bias()->set_id(1000);
  for (int i = 0; i < 16; ++i) all.mutable_stopping()->add_stop(huge);
  all.set_request_id(huge);
  const absl::Status status = server.client().generate(all).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_GT(violations_of(status).field_violations_size(), 1);
}

TEST(Health, TheServerItsServiceAndEachModeAreServing) {
  LiveServer server;
  Client client = server.client();
  for (const char* service : {"", "halftone.v1.Inference", "w4a16", "w4a16+kv8"}) {
    const auto state = client.health(service);
    ASSERT_TRUE(state.ok()) << service << ": " << state.status();
    EXPECT_EQ(*state, "SERVING");
  }
  EXPECT_TRUE(absl::IsNotFound(client.health("w2").status()));
}

TEST(Shutdown, HealthTurnsBeforeTheDrainAndLivingStreamsEndWell) {
  LiveServer server;
  server.executor.hold();
  absl::StatusOr<v1::GenerateResponse> answer;
  std::thread living([&] { answer = server.client().generate(text_request("the one", 50)); });
  server.executor.wait_until_held();
  server.rpc->stop_serving();
  EXPECT_EQ(*server.client().health(""), "NOT_SERVING");
  EXPECT_EQ(*server.client().health("w4a16"), "NOT_SERVING");
  std::thread draining([&] { server.engine->drain(INT64_MAX); });
  EXPECT_TRUE(server.eventually([&] { return server.engine->draining(); }));
  const absl::Status refused = server.client().generate(text_request("too late")).status();
  EXPECT_TRUE(absl::IsUnavailable(refused)) << refused;
  EXPECT_EQ(reason_of(refused), "DRAINING");
  server.executor.release();
  draining.join();
  living.join();
  EXPECT_TRUE(answer.ok()) << answer.status();
  server.rpc->shutdown(1);
  EXPECT_TRUE(absl::IsUnavailable(server.client().health("").status()));
}

TEST(Shutdown, WithoutGraceLivingCallsAreEndedAndNothingHangs) {
  LiveOptions options;
  options.executor.sleeps = true;
  options.executor.modes[0].step_time = 5'000'000;
  LiveServer server(options);
  absl::Status status;
  std::thread living([&] { status = server.client().generate(text_request("the one", 200)).status(); });
  EXPECT_TRUE(server.eventually([&] { return server.engine->load().running == 1; }));
  server.rpc->shutdown(0);
  living.join();
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(server.eventually([&] { return server.idle(); }));
}

TEST(Server, APortThatIsTakenIsAnError) {
  LiveServer first;
  ServiceContext context{
      test_rules(*first.tokenizer, first.executor, Limits(), true), {}, *first.engine, first.metrics, test_memory, [] {
        return Nanoseconds{0};
      }};
  RpcConfig config;
  config.port = first.rpc->port();
  const auto second = RpcServer::start(config, std::move(context));
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.status().ToString(), HasSubstr("cannot listen on 127.0.0.1"));
}

}  // namespace
}  // namespace halftone
