// How large answers are: the bound that is known before, the parts that a stream is cut into, and deadlines far away.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/rpc/answer_parts.h"
#include "server/rpc/answer_size.h"
#include "server/rpc/call_deadline.h"
#include "server/rpc/validate.h"
#include "server/text/utf8_stream.h"
#include "tests/server/rpc/live_server.h"

namespace halftone {
namespace {

struct Rules {
  FakeExecutor executor{FakeExecutorConfig{}};
  std::unique_ptr<Tokenizer> tokenizer = fake_tokenizer();
  RequestRules rules = test_rules(*tokenizer, executor, test_limits(FakeExecutorConfig()), true);
};

OutputDelta large_delta(size_t prompt, size_t tokens) {
  OutputDelta delta;
  for (size_t i = 0; i < prompt + tokens; ++i) {
    TokenRecord record;
    record.id = static_cast<int32_t>(i % 300);
    record.piece = "piece";
    record.top.assign(20, Candidate{260, -1.5F});
    (i < prompt ? delta.prompt_tokens : delta.tokens).push_back(record);
  }
  for (size_t i = 0; i < 1000 * tokens; ++i) delta.text += "\xe2\x82\xac";
  delta.finish = Finish{FinishReason::kLength, std::nullopt, std::nullopt};
  delta.receipt = Receipt();
  return delta;
}

TEST(AnswerParts, AreSmallAndTogetherTheWhole) {
  const Rules fixture;
  const AnswerStyle style{*fixture.tokenizer, true, true};
  for (const auto& [prompt, tokens] : {std::pair{1000, 0}, {0, 400}, {600, 100}, {1, 1}, {0, 0}}) {
    const OutputDelta delta = large_delta(static_cast<size_t>(prompt), static_cast<size_t>(tokens));
    v1::GenerateResponse whole, joined;
    add_delta(delta, style, &whole);
    AnswerParts parts(style, 100'000);
    parts.add(delta);
    for (bool finished = false; !parts.empty();) {
      v1::GenerateResponse part;
      parts.next(&part);
      EXPECT_LE(part.ByteSizeLong(), 110'000u);
      EXPECT_FALSE(finished);
      finished = part.has_finish();
      EXPECT_EQ(part.has_finish(), parts.empty());
      joined.MergeFrom(v1::GenerateResponse(part));
      EXPECT_TRUE(part.prompt_tokens().empty() || joined.tokens_size() == part.tokens_size()) << "prompt first";
    }
    std::string text;
    AnswerParts again(style, 100'000);
    again.add(delta);
    while (!again.empty()) {
      v1::GenerateResponse part;
      again.next(&part);
      text += part.text();
      EXPECT_EQ(utf8_with_replacement(part.text()), part.text()) << "cut inside a character";
    }
    EXPECT_EQ(text, whole.text());
    joined.set_text(text);
    EXPECT_EQ(joined.SerializeAsString(), whole.SerializeAsString());
  }
}

TEST(AnswerSize, IsNeverBelowTheAnswer) {
  LiveServer server;
  const Rules fixture;
  for (uint32_t top : {0u, 5u, 20u}) {
    v1::ScoreRequest score;
    score.set_text("the one that they have, the one that they know \xe2\x82\xac");
    score.set_top_n(top);
    const auto scored = server.client().score(score);
    ASSERT_TRUE(scored.ok()) << scored.status();
    const auto request = make_score_request(score, fixture.rules, {});
    EXPECT_LE(scored->ByteSizeLong(), most_answer_bytes(*request, fixture.rules));
    v1::GenerateRequest generate = text_request(score.text(), 100);
    generate.mutable_output()->set_logprobs(top);
    generate.mutable_output()->set_prompt_logprobs(top);
    generate.mutable_output()->set_receipt(true);
    const auto generated = server.client().generate(generate);
    ASSERT_TRUE(generated.ok()) << generated.status();
    const auto asked = make_generate_request(generate, fixture.rules, {});
    EXPECT_LE(generated->ByteSizeLong(), most_answer_bytes(*asked, fixture.rules));
  }
}

TEST(AnswerSize, WhatMayNotFitIsRefusedWithTheNumbers) {
  Rules fixture;
  fixture.rules.limits.max_response_bytes = 8000;
  Request request;
  request.kind = Request::Kind::kScore;
  request.prompt.assign(100, 7);
  EXPECT_TRUE(check_answer_fits(request, fixture.rules).ok());
  request.score_top = 20;
  const absl::Status refused = check_answer_fits(request, fixture.rules);
  EXPECT_TRUE(absl::IsInvalidArgument(refused));
  EXPECT_THAT(std::string(refused.message()), testing::HasSubstr("max_response_bytes is 8000: 99 scored tokens with"));
  request.kind = Request::Kind::kGenerate;
  request.max_new_tokens = 10;
  EXPECT_TRUE(check_answer_fits(request, fixture.rules).ok());
  request.max_new_tokens = 1000;
  EXPECT_THAT(std::string(check_answer_fits(request, fixture.rules).message()),
              testing::HasSubstr("call GenerateStream, which has no such limit"));
}

TEST(Deadline, HoweverFarAwayItIsNotPast) {
  const gpr_timespec now{1'800'000'000, 0, GPR_CLOCK_REALTIME};
  const auto after = [&](int64_t seconds) {
    return engine_deadline({now.tv_sec + seconds, 500'000'000, GPR_CLOCK_REALTIME}, now, 1000);
  };
  EXPECT_EQ(after(3), 1000 + 3'500'000'000);
  EXPECT_EQ(after(-5), 1000);
  for (int64_t hours : {int64_t{9000}, int64_t{3'000'000}, int64_t{99'999'999}}) {
    EXPECT_EQ(after(hours * 3600), std::nullopt) << hours;
  }
  EXPECT_EQ(engine_deadline(gpr_inf_future(GPR_CLOCK_REALTIME), now, 1000), std::nullopt);
  EXPECT_EQ(engine_deadline(gpr_inf_past(GPR_CLOCK_REALTIME), now, 1000), 1000);
}

}  // namespace
}  // namespace halftone
