// Answers as they come: order, content, cancellation, deadlines, company.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "client/status.h"
#include "tests/server/rpc/live_server.h"

namespace halftone {
namespace {

struct Answer {
  std::vector<v1::GenerateResponse> messages;
  absl::Status status;

  std::string text() const {
    std::string out;
    for (const auto& message : messages) out += message.text();
    return out;
  }
  std::vector<int32_t> ids() const {
    std::vector<int32_t> out;
    for (const auto& message : messages) {
      for (const auto& token : message.tokens()) out.push_back(static_cast<int32_t>(token.id()));
    }
    return out;
  }
};

Answer run(Client& client, const v1::GenerateRequest& request, const CallOptions& options = {}) {
  Answer answer;
  answer.status = client.generate(
      request, [&](const v1::GenerateResponse& message) { answer.messages.push_back(message); }, options);
  return answer;
}

std::vector<int32_t> expected(const LiveServer& server, const v1::GenerateRequest& request, ModeIndex mode = 0) {
  return server.executor.answer(mode, server.tokenizer->encode(request.text(), {.add_special = true}),
                                request.stopping().max_new_tokens());
}

TEST(Stream, AGreedyAnswerHasTheExecutorsTokensAndTheirText) {
  LiveServer server;
  Client client = server.client();
  const auto request = text_request("the one", 40);
  const Answer answer = run(client, request);
  ASSERT_TRUE(answer.status.ok()) << answer.status;
  EXPECT_EQ(answer.ids(), expected(server, request));
  EXPECT_EQ(answer.text(), server.text_of(expected(server, request)));
  for (const auto& message : answer.messages) {
    for (const auto& token : message.tokens()) {
      EXPECT_EQ(token.piece(), server.tokenizer->piece(static_cast<TokenId>(token.id())));
      EXPECT_FALSE(token.has_logprob());
    }
  }
}

TEST(Stream, TheFirstMessageSaysWhoAnswersAndTheLastHowItEnded) {
  LiveServer server;
  Client client = server.client();
  auto request = text_request("the one", 30);
  request.set_mode("w4a16+kv8");
  request.set_request_id("mine");
  request.mutable_sampling()->set_seed(77);
  request.mutable_output()->set_receipt(true);
  const Answer answer = run(client, request);
  ASSERT_TRUE(answer.status.ok()) << answer.status;
  const auto& first = answer.messages.front();
  EXPECT_EQ(first.mode(), "w4a16+kv8");
  EXPECT_EQ(first.weights_digest(), "digest-of-w4a16+kv8");
  EXPECT_EQ(first.request_id(), "mine");
  EXPECT_EQ(first.seed(), 77u);
  for (size_t i = 1; i < answer.messages.size(); ++i) EXPECT_EQ(answer.messages[i].mode(), "");
  for (size_t i = 0; i + 1 < answer.messages.size(); ++i) EXPECT_FALSE(answer.messages[i].has_finish());
  const auto& last = answer.messages.back();
  EXPECT_EQ(last.finish().reason(), v1::Finish::LENGTH);
  EXPECT_EQ(last.receipt().generated_tokens(), 30u);
  EXPECT_EQ(answer.ids(), expected(server, request, 1));
}

TEST(Stream, AReceiptComesOnlyWhereItWasAskedFor) {
  LiveServer server;
  Client client = server.client();
  EXPECT_FALSE(run(client, text_request("the one")).messages.back().has_receipt());
}

TEST(Stream, GenerateGivesTheSameInOneMessage) {
  LiveServer server;
  Client client = server.client();
  auto request = text_request("the one", 30);
  request.mutable_output()->set_logprobs(2);
  const Answer streamed = run(client, request);
  const auto whole = client.generate(request);
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->text(), streamed.text());
  ASSERT_EQ(whole->tokens_size(), 30);
  EXPECT_EQ(whole->tokens(7).top_size(), 2);
  EXPECT_EQ(whole->tokens(7).top(0).piece(),
            server.tokenizer->piece(static_cast<TokenId>(whole->tokens(7).top(0).id())));
  EXPECT_EQ(whole->finish().reason(), v1::Finish::LENGTH);
  EXPECT_EQ(whole->mode(), "w4a16");
}

TEST(Stream, PromptLogprobsHaveARecordForEachTokenOfThePrompt) {
  LiveServer server;
  auto request = from_text<v1::GenerateRequest>("tokens { ids: [7, 8, 9] } output { prompt_logprobs: 1 }");
  const auto whole = server.client().generate(request);
  ASSERT_TRUE(whole.ok()) << whole.status();
  ASSERT_EQ(whole->prompt_tokens_size(), 3);
  EXPECT_FALSE(whole->prompt_tokens(0).has_logprob());
  EXPECT_TRUE(whole->prompt_tokens(2).has_logprob());
  EXPECT_EQ(whole->prompt_tokens(2).top_size(), 1);
}

TEST(Stream, ScoreAndPromptLogprobsAgree) {
  LiveServer server;
  const auto whole = server.client().generate(
      from_text<v1::GenerateRequest>("tokens { ids: [7, 8, 9, 10] } output { prompt_logprobs: 2 }"));
  const auto score = server.client().score(from_text<v1::ScoreRequest>("tokens { ids: [7, 8, 9, 10] } top_n: 2"));
  ASSERT_TRUE(score.ok()) << score.status();
  ASSERT_EQ(score->tokens_size(), 3);
  double sum = 0;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(score->tokens(i).id(), whole->prompt_tokens(i + 1).id());
    EXPECT_EQ(score->tokens(i).logprob(), whole->prompt_tokens(i + 1).logprob());
    EXPECT_EQ(score->tokens(i).rank(), whole->prompt_tokens(i + 1).rank());
    sum += score->tokens(i).logprob();
  }
  EXPECT_DOUBLE_EQ(score->sum_logprob(), sum);
}

TEST(Stream, ScoringBeginsWhereItWasAskedTo) {
  LiveServer server;
  const auto score =
      server.client().score(from_text<v1::ScoreRequest>("tokens { ids: [7, 8, 9, 10] } first_scored: 2"));
  ASSERT_TRUE(score.ok()) << score.status();
  ASSERT_EQ(score->tokens_size(), 2);
  EXPECT_EQ(score->tokens(0).id(), 9u);
}

// An answer of 200 tokens takes a second.
LiveOptions slow() {
  LiveOptions options;
  options.executor.sleeps = true;
  options.executor.modes[0].step_time = 5'000'000;
  return options;
}

// Cancels when the engine has begun.
std::thread cancel_when_running(const LiveServer& server, Cancellation& cancellation) {
  return std::thread([&] {
    EXPECT_TRUE(server.eventually([&] { return server.engine->load().running == 1; }));
    cancellation.cancel();
  });
}

TEST(Stream, ACancelledStreamEndsAndFreesItsPlace) {
  LiveServer server(slow());
  Client client = server.client();
  Cancellation cancellation;
  std::thread other = cancel_when_running(server, cancellation);
  const Answer answer = run(client, text_request("the one", 200), {std::nullopt, &cancellation});
  other.join();
  EXPECT_TRUE(absl::IsCancelled(answer.status)) << answer.status;
  EXPECT_TRUE(server.eventually([&] { return server.metrics.request_count(0, "CANCELLED") == 1; }));
  EXPECT_TRUE(server.eventually([&] { return server.idle(); }));
}

TEST(Stream, ACancelledUnaryCallIsCancelledInTheEngineToo) {
  LiveServer server(slow());
  Client client = server.client();
  Cancellation cancellation;
  std::thread other = cancel_when_running(server, cancellation);
  EXPECT_TRUE(absl::IsCancelled(client.generate(text_request("the one", 200), {std::nullopt, &cancellation}).status()));
  other.join();
  EXPECT_TRUE(server.eventually([&] { return server.metrics.request_count(0, "CANCELLED") == 1; }));
}

TEST(Stream, TheCallsDeadlineReachesTheEngine) {
  LiveServer server(slow());
  Client client = server.client();
  const Answer answer = run(client, text_request("the one", 200), {.deadline_seconds = 0.2});
  EXPECT_TRUE(absl::IsDeadlineExceeded(answer.status)) << answer.status;
  EXPECT_TRUE(server.eventually([&] { return server.idle(); }));
}

TEST(Stream, MaxSecondsEndsWithTheTextSoFar) {
  LiveServer server(slow());
  Client client = server.client();
  auto request = text_request("the one", 200);
  request.mutable_stopping()->set_max_seconds(0.2);
  const Answer answer = run(client, request);
  ASSERT_TRUE(answer.status.ok()) << answer.status;
  EXPECT_EQ(answer.messages.back().finish().reason(), v1::Finish::TIME_LIMIT);
  EXPECT_FALSE(answer.ids().empty());
}

TEST(Stream, SixtyFourAtOnceEachGetTheAnswerThatTheyWouldHaveGotAlone) {
  LiveServer server;
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 64; ++i) {
    threads.emplace_back([&, i] {
      Client client = server.client();
      auto request = text_request("prompt " + std::to_string(i), 60);
      if (i % 2 == 1) request.set_mode("w4a16+kv8");
      const Answer answer = run(client, request);
      EXPECT_TRUE(answer.status.ok()) << answer.status;
      if (answer.ids() == expected(server, request, i % 2)) ++right;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 64);
  EXPECT_TRUE(server.idle());
}

TEST(Stream, ClientsThatVanishAtAnyMomentLeaveNothingBehind) {
  LiveServer server;
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      Client client = server.client();
      for (int round = 0; round < 8; ++round) {
        Cancellation cancellation;
        int left = (i + round) % 7;
        (void)client.generate(text_request("prompt " + std::to_string(i), 100),
                              [&](const v1::GenerateResponse&) {
                                if (left-- == 0) cancellation.cancel();
                              },
                              {std::nullopt, &cancellation});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(server.eventually([&] { return server.idle(); }));
  Client client = server.client();
  EXPECT_TRUE(run(client, text_request("still there")).status.ok());
}

}  // namespace
}  // namespace halftone
