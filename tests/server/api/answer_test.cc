// How large answers are: the bound that is known before, and the parts that a stream is cut into.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/api/answer_parts.h"
#include "server/api/answer_size.h"
#include "server/text/utf8_stream.h"
#include "tests/server/api/api_testing.h"

namespace halftone {
namespace {

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
  const TestRules fixture;
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

TEST(AnswerSize, WhatMayNotFitIsRefusedWithTheNumbers) {
  TestRules fixture;
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

}  // namespace
}  // namespace halftone
