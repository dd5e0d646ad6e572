// The library: order, retries, cancellation, deadlines, details.
#include "client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <thread>

#include "client/status.h"
#include "server/api/status_details.h"
#include "tests/client/scripted_server.h"

namespace halftone {
namespace {

using Clock = std::chrono::steady_clock;

ScriptedAnswer failing(absl::Status status) { return {.messages = {}, .status = std::move(status), .usage = ""}; }
ScriptedAnswer complete(const std::string& text) {
  return {.messages = {message_of(text, true)}, .status = absl::OkStatus(), .usage = ""};
}

Client impatient(const ScriptedServer& server, int attempts = 4) {
  return Client({.server = server.address(), .attempts = attempts, .first_pause_seconds = 0.01});
}

struct Result {
  std::string text;
  absl::Status status;
  double seconds = 0;
};

Result generate(Client& client, const CallOptions& options = {}) {
  Result result;
  const auto begin = Clock::now();
  result.status = client.generate(
      v1::GenerateRequest(), [&](const v1::GenerateResponse& message) { result.text += message.text(); }, options);
  result.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return result;
}

TEST(Client, CallbacksComeInOrderOnTheCallersThread) {
  ScriptedServer server;
  ScriptedAnswer answer;
  for (int i = 0; i < 100; ++i) answer.messages.push_back(message_of(std::to_string(i) + " "));
  server.answer({answer});
  Client client = impatient(server);
  int next = 0;
  const auto thread = std::this_thread::get_id();
  const absl::Status status = client.generate(v1::GenerateRequest(), [&](const v1::GenerateResponse& message) {
    EXPECT_EQ(message.text(), std::to_string(next++) + " ");
    EXPECT_EQ(std::this_thread::get_id(), thread);
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(next, 100);
}

TEST(Client, AnUnavailableServerIsTriedAgain) {
  ScriptedServer server;
  const ScriptedAnswer busy = failing(absl::UnavailableError("draining"));
  server.answer({busy, busy, complete("yes")});
  Client client = impatient(server);
  const Result result = generate(client);
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_EQ(result.text, "yes");
  EXPECT_EQ(server.requests().size(), 3u);
}

TEST(Client, ItGivesUpAfterItsAttempts) {
  ScriptedServer server;
  server.answer({failing(absl::UnavailableError("draining"))});
  Client client = impatient(server, 3);
  EXPECT_TRUE(absl::IsUnavailable(generate(client).status));
  EXPECT_EQ(server.requests().size(), 3u);
}

TEST(Client, AnAnswerThatHasBegunIsNeverAskedForAgain) {
  ScriptedServer server;
  server.answer({{.messages = {message_of("half")}, .status = absl::UnavailableError("gone"), .usage = ""}});
  Client client = impatient(server);
  const Result result = generate(client);
  EXPECT_TRUE(absl::IsUnavailable(result.status));
  EXPECT_EQ(result.text, "half");
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST(Client, OtherFailuresAreNotTriedAgain) {
  ScriptedServer server;
  Client client = impatient(server);
  server.answer({failing(absl::ResourceExhaustedError("full")), complete("yes")});
  EXPECT_TRUE(absl::IsResourceExhausted(generate(client).status));
  server.answer({failing(absl::InternalError("broken")), complete("yes")});
  EXPECT_TRUE(absl::IsInternal(generate(client).status));
  EXPECT_EQ(server.requests().size(), 2u);
}

TEST(Client, TheServersRetryInfoMakesThePauseLonger) {
  ScriptedServer server;
  absl::Status busy = absl::UnavailableError("loading");
  set_retry_after(busy, 0.3);
  server.answer({failing(busy), complete("yes")});
  Client client = impatient(server);
  const Result result = generate(client);
  EXPECT_TRUE(result.status.ok()) << result.status;
  EXPECT_GE(result.seconds, 0.29);
}

TEST(Client, ADeadlineCoversAllAttempts) {
  ScriptedServer server;
  server.answer({failing(absl::UnavailableError("draining"))});
  Client client({.server = server.address(), .attempts = 100, .first_pause_seconds = 0.1});
  const Result result = generate(client, {.deadline_seconds = 0.5});
  EXPECT_FALSE(result.status.ok());
  EXPECT_LT(result.seconds, 2);
}

TEST(Client, AnyNumberOfSecondsIsADeadline) {
  ScriptedServer server;
  server.answer({{.messages = {message_of("x", true)}, .status = absl::OkStatus(), .usage = ""}});
  Client client = impatient(server);
  const double infinity = std::numeric_limits<double>::infinity();
  for (double seconds : {1e10, 1e300, infinity}) {
    EXPECT_TRUE(generate(client, {.deadline_seconds = seconds}).status.ok()) << seconds;
  }
  for (double seconds : {std::nan(""), -1.0, -infinity}) {
    EXPECT_LT(generate(client, {.deadline_seconds = seconds}).seconds, 5) << seconds;  // at once, whoever is first
  }
}

TEST(Client, ADeadlineEndsAStream) {
  ScriptedServer server;
  ScriptedAnswer endless{.messages = {message_of("begun")}, .status = absl::OkStatus(), .usage = ""};
  endless.waits_for_cancel = true;
  server.answer({endless});
  Client client = impatient(server);
  const Result result = generate(client, {.deadline_seconds = 0.3});
  EXPECT_TRUE(absl::IsDeadlineExceeded(result.status)) << result.status;
  EXPECT_EQ(result.text, "begun");
}

TEST(Client, CancellationEndsARunningStream) {
  ScriptedServer server;
  ScriptedAnswer endless{.messages = {message_of("begun")}, .status = absl::OkStatus(), .usage = ""};
  endless.waits_for_cancel = true;
  server.answer({endless});
  Client client = impatient(server);
  Cancellation cancellation;
  std::string text;
  const absl::Status status = client.generate(v1::GenerateRequest(),
                                              [&](const v1::GenerateResponse& message) {
                                                text = message.text();
                                                cancellation.cancel();
                                              },
                                              {std::nullopt, &cancellation});
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(text, "begun");
}

TEST(Client, CancellationEndsThePauseBetweenAttempts) {
  ScriptedServer server;
  server.answer({failing(absl::UnavailableError("draining"))});
  Client client({.server = server.address(), .attempts = 100, .first_pause_seconds = 5});
  Cancellation cancellation;
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    cancellation.cancel();
  });
  const Result result = generate(client, {std::nullopt, &cancellation});
  other.join();
  EXPECT_TRUE(absl::IsCancelled(result.status)) << result.status;
  EXPECT_LT(result.seconds, 3);
}

TEST(Client, ACancelledCallDoesNotBegin) {
  ScriptedServer server;
  server.answer({complete("yes")});
  Client client = impatient(server);
  Cancellation cancellation;
  cancellation.cancel();
  EXPECT_TRUE(absl::IsCancelled(generate(client, {std::nullopt, &cancellation}).status));
  EXPECT_TRUE(server.requests().empty());
}

TEST(Client, DetailsAndUsageOfAFailureCanBeRead) {
  ScriptedServer server;
  absl::Status full = absl::ResourceExhaustedError("the queue is full");
  set_reason(full, "QUEUE_FULL");
  set_retry_after(full, 2.5);
  v1::Receipt usage;
  usage.set_generated_tokens(7);
  server.answer({{.messages = {}, .status = full, .usage = usage.SerializeAsString()}});
  Client client = impatient(server);
  const absl::Status status = generate(client).status;
  EXPECT_EQ(status.message(), "the queue is full");
  EXPECT_EQ(reason_of(status), "QUEUE_FULL");
  EXPECT_DOUBLE_EQ(retry_after_seconds(status).value_or(0), 2.5);
  ASSERT_TRUE(usage_of(status).has_value());
  EXPECT_EQ(usage_of(status)->generated_tokens(), 7u);
}

TEST(Client, AFailureWithoutDetailsHasNone) {
  const absl::Status status = absl::InternalError("bare");
  EXPECT_EQ(reason_of(status), "");
  EXPECT_FALSE(retry_after_seconds(status).has_value());
  EXPECT_FALSE(usage_of(status).has_value());
  EXPECT_EQ(violations_of(status).field_violations_size(), 0);
}

TEST(Client, NobodyThereIsUnavailableAfterAllAttempts) {
  Client client({.server = "127.0.0.1:1", .attempts = 2, .first_pause_seconds = 0.01});
  EXPECT_TRUE(absl::IsUnavailable(generate(client).status));
  EXPECT_TRUE(absl::IsUnavailable(client.info().status()));
}

}  // namespace
}  // namespace halftone
