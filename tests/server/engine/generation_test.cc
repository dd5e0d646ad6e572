#include "server/engine/generation.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/fake_vocabulary.h"

namespace halftone {
namespace {

TokenId byte_token(int byte) { return kFakeFirstByte + byte; }

// One request that is fed tokens as if a step had drawn them.
class Fed {
 public:
  explicit Fed(Request request, int64_t max_generated = 100)
      : request_(complete(std::move(request))), generation_(request_, *tokenizer_, max_generated) {}

  Generation::Outcome feed(int32_t token) {
    RowResult row;
    row.token = token;
    row.logprob = -1.5f;
    row.rank = 3;
    row.top = {{token + 1, -0.5f}};
    return feed_rows({row});
  }
  Generation::Outcome feed_rows(std::vector<RowResult> rows) {
    const Generation::Outcome outcome = generation_.take(chunk(), rows);
    OutputDelta delta = generation_.take_delta();
    text += delta.text;
    for (TokenRecord& token : delta.tokens) tokens.push_back(token);
    for (TokenRecord& token : delta.prompt_tokens) prompt_tokens.push_back(token);
    return outcome;
  }
  // Bytes one by one; whether the last one ended the answer.
  bool feed_bytes(std::string_view bytes) {
    bool done = false;
    for (unsigned char byte : bytes) done = feed(byte_token(byte)).done;
    return done;
  }
  std::vector<LogitRow> rows() const {
    std::vector<LogitRow> rows;
    generation_.append_rows(chunk(), &rows);
    return rows;
  }
  PlannedSequence chunk() const {
    const auto prompt = static_cast<int64_t>(request_.prompt.size());
    const int64_t generated = generation_.generated();
    PlannedSequence chunk;
    chunk.first = generated == 0 ? 0 : prompt + generated - 1;
    chunk.count = generated == 0 ? prompt : 1;
    chunk.samples = true;
    return chunk;
  }
  const Finish& finish() const { return *generation_.finish(); }
  Generation& generation() { return generation_; }

  std::string text;
  std::vector<TokenRecord> tokens, prompt_tokens;

 private:
  static Request complete(Request request) {
    if (request.prompt.empty()) request.prompt = {kFakeBos, 70};
    return request;
  }
  std::unique_ptr<Tokenizer> tokenizer_ = fake_tokenizer();
  const Request request_;
  Generation generation_;
};

TEST(Generation, AnEndTokenEndsTheAnswerWithoutItsTextButWithItsRecord) {
  Fed fed({});
  EXPECT_FALSE(fed.feed_bytes("ab"));
  EXPECT_TRUE(fed.feed(kFakeEos).done);
  EXPECT_EQ(fed.finish().reason, FinishReason::kStop);
  EXPECT_EQ(fed.finish().stop_token_id, kFakeEos);
  EXPECT_FALSE(fed.finish().stop.has_value());
  EXPECT_EQ(fed.text, "ab");
  ASSERT_EQ(fed.tokens.size(), 3u);
  EXPECT_EQ(fed.tokens[2].id, kFakeEos);
  EXPECT_EQ(fed.tokens[2].piece, "</s>");
}

TEST(Generation, AnEndTokenIsATokenLikeAnyWhereItIsIgnored) {
  Request request;
  request.ignore_eos = true;
  Fed fed(request);
  EXPECT_FALSE(fed.feed(kFakeEos).done);
  EXPECT_EQ(fed.text, "");  // special tokens are never text
  EXPECT_EQ(fed.tokens.size(), 1u);
}

TEST(Generation, AStopTokenEndsTheAnswer) {
  Request request;
  request.stop_token_ids = {byte_token('x')};
  Fed fed(request);
  EXPECT_FALSE(fed.feed_bytes("ab"));
  EXPECT_TRUE(fed.feed_bytes("x"));
  EXPECT_EQ(fed.finish().stop_token_id, byte_token('x'));
  EXPECT_EQ(fed.text, "ab");
}

TEST(Generation, SpecialTokensAreRecordsWithoutText) {
  Fed fed({});
  fed.feed_bytes("a");
  EXPECT_FALSE(fed.feed(kFakeSpecial).done);
  fed.feed_bytes("b");
  EXPECT_EQ(fed.text, "ab");
  ASSERT_EQ(fed.tokens.size(), 3u);
  EXPECT_EQ(fed.tokens[1].piece, "<tool>");
}

TEST(Generation, CutsTheTextBeforeAStopStringAndKeepsTheTokens) {
  Request request;
  request.stop = {"zz", "lo w"};
  Fed fed(request);
  EXPECT_FALSE(fed.feed_bytes("hello "));
  EXPECT_EQ(fed.text, "hel");  // "lo " may still become the stop string
  EXPECT_TRUE(fed.feed_bytes("w"));
  EXPECT_EQ(fed.text, "hel");
  EXPECT_EQ(fed.finish().reason, FinishReason::kStop);
  EXPECT_EQ(fed.finish().stop, "lo w");
  EXPECT_FALSE(fed.finish().stop_token_id.has_value());
  EXPECT_EQ(fed.tokens.size(), 7u);
}

TEST(Generation, HeldBackTextComesWithTheEnd) {
  Request request;
  request.stop = {"lower"};
  Fed fed(request, 5);
  fed.feed_bytes("hell");
  EXPECT_TRUE(fed.feed_bytes("o"));
  EXPECT_EQ(fed.text, "hello");
  Fed stopped(request);
  stopped.feed_bytes("hello");
  EXPECT_TRUE(stopped.feed(kFakeEos).done);
  EXPECT_EQ(stopped.text, "hello");
}

TEST(Generation, NeverShowsHalfACharacter) {
  Request request;
  request.max_new_tokens = 4;
  Fed fed(request, 4);
  const std::string euro = "€";
  fed.feed_bytes(euro.substr(0, 2));
  EXPECT_EQ(fed.text, "");
  fed.feed_bytes(euro.substr(2));
  EXPECT_EQ(fed.text, "€");
  EXPECT_EQ(fed.tokens[0].piece, euro.substr(0, 1));
  EXPECT_TRUE(fed.feed_bytes("\xe2"));  // and there the answer ends
  EXPECT_EQ(fed.text, "€\xEF\xBF\xBD");
  EXPECT_EQ(fed.finish().reason, FinishReason::kLength);
}

TEST(Generation, EndsByLengthOrByTheContextWhicheverComesFirst) {
  Request request;
  request.max_new_tokens = 3;
  Fed by_length(request, 3);
  by_length.feed_bytes("ab");
  EXPECT_TRUE(by_length.feed_bytes("c"));
  EXPECT_EQ(by_length.finish().reason, FinishReason::kLength);
  Fed by_context(request, 2);
  by_context.feed_bytes("a");
  EXPECT_TRUE(by_context.feed_bytes("b"));
  EXPECT_EQ(by_context.finish().reason, FinishReason::kContextLimit);
}

TEST(Generation, AStopOnTheLastTokenIsAStop) {
  Request request;
  request.max_new_tokens = 2;
  request.stop = {"b"};
  Fed fed(request, 2);
  fed.feed_bytes("a");
  EXPECT_TRUE(fed.feed_bytes("b"));
  EXPECT_EQ(fed.finish().reason, FinishReason::kStop);
  EXPECT_EQ(fed.text, "a");
}

TEST(Generation, BansEndsUntilThereAreEnoughTokens) {
  Request request;
  request.min_new_tokens = 2;
  request.stop_token_ids = {77};
  Fed fed(request);
  for (int i = 0; i < 2; ++i) {
    const std::vector<LogitRow> rows = fed.rows();
    const std::vector<int32_t> banned(rows[0].banned.begin(), rows[0].banned.end());
    EXPECT_EQ(banned, (std::vector<int32_t>{77, kFakeEos}));
    fed.feed_bytes("a");
  }
  EXPECT_TRUE(fed.rows()[0].banned.empty());

  request.ignore_eos = true;
  Fed ignoring(request);
  EXPECT_EQ(ignoring.rows()[0].banned.size(), 1u);
}

TEST(Generation, LooksForStopStringsFromTheLeastNumberOfTokensOn) {
  Request request;
  request.min_new_tokens = 3;
  request.stop = {"a"};
  Fed fed(request);
  EXPECT_FALSE(fed.feed_bytes("aa"));
  EXPECT_TRUE(fed.feed_bytes("a"));
  EXPECT_EQ(fed.text, "aa");
}

TEST(Generation, CountsTokensForPenalties) {
  Request request;
  request.prompt = {9, 8, 9};
  EXPECT_TRUE(Fed(request).rows()[0].counts.empty());
  request.sampling.presence_penalty = 0.5f;
  Fed fed(request);
  fed.feed(8);
  fed.feed(60);
  fed.feed(60);
  const std::vector<LogitRow> rows = fed.rows();
  ASSERT_EQ(rows[0].counts.size(), 3u);
  const auto expect = [&](size_t place, int32_t id, bool in_prompt, int32_t in_output) {
    EXPECT_EQ(rows[0].counts[place].id, id);
    EXPECT_EQ(rows[0].counts[place].in_prompt, in_prompt);
    EXPECT_EQ(rows[0].counts[place].in_output, in_output);
  };
  expect(0, 8, true, 1);
  expect(1, 9, true, 0);
  expect(2, 60, false, 2);
}

TEST(Generation, GivesLogprobsOnlyWhereAskedFor) {
  Fed plain({});
  plain.feed(70);
  EXPECT_FALSE(plain.tokens[0].logprob.has_value());
  EXPECT_EQ(plain.rows()[0].top, 0u);
  Request request;
  request.logprobs = 1;
  Fed asked(request);
  EXPECT_EQ(asked.rows()[0].top, 1u);
  asked.feed(70);
  EXPECT_EQ(asked.tokens[0].logprob, -1.5f);
  EXPECT_EQ(asked.tokens[0].rank, 3u);
  EXPECT_FALSE(asked.tokens[0].logsumexp.has_value());
  ASSERT_EQ(asked.tokens[0].top.size(), 1u);
  EXPECT_EQ(asked.tokens[0].top[0].id, 71);
}

TEST(Generation, ARowThatIsNotFiniteBreaksTheRequest) {
  Fed fed({});
  RowResult row;
  row.finite = false;
  EXPECT_TRUE(fed.feed_rows({row}).broken);
  EXPECT_TRUE(fed.tokens.empty());
}

TEST(Generation, EndsEarlyWithTheTextSoFar) {
  Request request;
  request.stop = {"abc"};
  Fed fed(request);
  fed.feed_bytes("ab");
  EXPECT_EQ(fed.text, "");
  fed.generation().end_early(FinishReason::kTimeLimit);
  const OutputDelta last = fed.generation().take_delta();
  EXPECT_EQ(last.text, "ab");
  EXPECT_EQ(last.finish->reason, FinishReason::kTimeLimit);
}

TEST(Generation, WithNothingToGenerateThePromptIsAllThereIs) {
  Request request;
  request.max_new_tokens = 0;
  Fed none(request, 0);
  EXPECT_TRUE(none.rows().empty());
  EXPECT_TRUE(none.feed_rows({}).done);
  EXPECT_EQ(none.finish().reason, FinishReason::kLength);
  request.max_new_tokens = 8;
  Fed full(request, 0);
  EXPECT_TRUE(full.feed_rows({}).done);
  EXPECT_EQ(full.finish().reason, FinishReason::kContextLimit);
}

}  // namespace
}  // namespace halftone
