// Rows of the prompt: scores and prompt log-probabilities.
#include <gtest/gtest.h>

#include <numeric>

#include "tests/server/engine/rig.h"

namespace halftone {
namespace {

std::vector<int32_t> text(size_t count, size_t variant = 0) {
  std::vector<int32_t> ids(count);
  for (size_t i = 0; i < count; ++i) ids[i] = static_cast<int32_t>((i * 37 + variant) % 300);
  return ids;
}

Request score(Rig& rig, std::vector<int32_t> prompt, uint32_t first_scored = 1) {
  Request request = rig.request(std::move(prompt), 0);
  request.kind = Request::Kind::kScore;
  request.score_top = 2;
  request.first_scored = first_scored;
  return request;
}

void expect_same(const TokenRecord& a, const TokenRecord& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.piece, b.piece);
  EXPECT_EQ(a.logprob, b.logprob);
  EXPECT_EQ(a.rank, b.rank);
}

TEST(Score, HasOneRecordForEachScoredTokenAndNoFinish) {
  Rig rig;
  const std::vector<int32_t> prompt = text(40);
  const Answer all = rig.run(score(rig, prompt));
  EXPECT_TRUE(all.status.ok());
  EXPECT_FALSE(all.all.finish.has_value());
  EXPECT_TRUE(all.all.text.empty());
  EXPECT_EQ(all.ids(), std::vector<int32_t>(prompt.begin() + 1, prompt.end()));
  for (const TokenRecord& token : all.all.tokens) {
    EXPECT_TRUE(token.logprob && token.rank && token.logsumexp);
    EXPECT_EQ(token.top.size(), 2u);
  }
  const Answer tail = rig.run(score(rig, prompt, 30));
  ASSERT_EQ(tail.all.tokens.size(), 10u);
  for (size_t i = 0; i < 10; ++i) expect_same(tail.all.tokens[i], all.all.tokens[29 + i]);
  const Answer nothing = rig.run(score(rig, {7}));
  EXPECT_TRUE(nothing.status.ok());
  EXPECT_TRUE(nothing.all.tokens.empty());
}

TEST(Score, AgreesWithGeneration) {
  Rig rig;
  Request request = rig.request(text(10), 12);
  request.logprobs = 1;
  request.prompt_logprobs = 1;
  const Answer generated = rig.run(request);
  std::vector<int32_t> whole = request.prompt;
  for (int32_t id : generated.ids()) whole.push_back(id);
  const Answer scored = rig.run(score(rig, whole));
  ASSERT_EQ(scored.all.tokens.size(), 21u);
  ASSERT_EQ(generated.all.prompt_tokens.size(), 10u);
  EXPECT_FALSE(generated.all.prompt_tokens[0].logprob.has_value());
  for (size_t i = 1; i < 10; ++i) expect_same(generated.all.prompt_tokens[i], scored.all.tokens[i - 1]);
  for (size_t i = 0; i < 12; ++i) expect_same(generated.all.tokens[i], scored.all.tokens[9 + i]);
}

TEST(Score, StaysWithinTheRowsOfAStepWhateverTheCompany) {
  RigOptions options;
  options.executor.max_step_rows = 24;
  options.executor.pages = 256;
  Rig rig(options);
  const std::vector<int32_t> prompt = text(200);
  Rig wide;
  const Answer whole = wide.run(score(wide, prompt));
  rig.executor.hold();
  std::vector<std::shared_ptr<OutputStream>> company, scores;
  for (int i = 0; i < 15; ++i) company.push_back(rig.submit(rig.request(text(20 + static_cast<size_t>(i)), 40)));
  for (int i = 0; i < 3; ++i) scores.push_back(rig.submit(score(rig, prompt)));
  rig.executor.release();
  for (auto& stream : scores) {
    const Answer answer = read_all(stream);
    ASSERT_EQ(answer.all.tokens.size(), whole.all.tokens.size());
    for (size_t i = 0; i < whole.all.tokens.size(); ++i) expect_same(answer.all.tokens[i], whole.all.tokens[i]);
  }
  for (auto& stream : company) EXPECT_TRUE(read_all(stream).status.ok());
  EXPECT_GT(rig.executor.largest_step_rows(), 15);  // and no more than 24: the executor checks
}

TEST(Score, PromptRecordsComeOnceThoughTheRequestWasPutBack) {
  RigOptions options;
  options.executor.pages = 8;
  options.executor.max_step_tokens = 24;
  Rig rig(options);
  rig.executor.hold();
  std::vector<std::shared_ptr<OutputStream>> streams;
  for (size_t i = 0; i < 4; ++i) {
    Request request = rig.request(text(50, i), 40);
    request.prompt_logprobs = 1;
    streams.push_back(rig.submit(request));
  }
  rig.executor.release();
  uint32_t preemptions = 0;
  for (size_t i = 0; i < 4; ++i) {
    const Answer answer = read_all(streams[i]);
    EXPECT_TRUE(answer.status.ok());
    EXPECT_EQ(answer.ids(), rig.executor.answer(0, text(50, i), 40));
    ASSERT_EQ(answer.all.prompt_tokens.size(), 50u);
    for (size_t at = 0; at < 50; ++at) EXPECT_EQ(answer.all.prompt_tokens[at].id, text(50, i)[at]);
    preemptions += answer.all.receipt->preemptions;
  }
  EXPECT_GT(preemptions, 0u);
}

TEST(Score, PromptRecordsComeInOneDeltaNoLaterThanTheFirstToken) {
  RigOptions options;
  options.executor.max_step_tokens = 8;
  Rig rig(options);
  Request request = rig.request(text(50), 3);
  request.prompt_logprobs = 1;
  auto stream = rig.submit(request);
  rig.drain();
  const auto event = stream->take(nullptr);
  ASSERT_TRUE(event && event->delta);
  EXPECT_EQ(event->delta->prompt_tokens.size(), 50u);

  std::optional<OutputStream::Event> first;
  Rig live(options);
  live.executor.hold();
  stream = live.submit(request);
  for (int step = 0; step < 7; ++step) {  // 7 chunks, and the token
    live.executor.wait_until_held();
    first = stream->take(nullptr);
    EXPECT_FALSE(first.has_value());
    live.executor.let_one_pass();
  }
  live.executor.wait_until_held();
  first = stream->take(nullptr);
  ASSERT_TRUE(first && first->delta);
  EXPECT_EQ(first->delta->prompt_tokens.size(), 50u);
  EXPECT_EQ(first->delta->tokens.size(), 1u);
  live.executor.release();
}

TEST(Score, TheNumberOfDrawnRowsIsTheNumberOfTokens) {
  Rig rig;
  int64_t drawn = 0;
  rig.executor.observe([&](const LogitRow& row) { drawn += row.sampling != nullptr; });
  rig.run(rig.request(text(100), 17));
  rig.run(score(rig, text(100)));
  rig.drain();
  EXPECT_EQ(drawn, 17);
}

}  // namespace
}  // namespace halftone
