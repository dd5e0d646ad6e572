// A greedy answer depends on its prompt and its mode alone: not on company, chunk edges, preemption or cached prefixes.
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "tests/server/engine/rig.h"

namespace halftone {
namespace {

std::vector<int32_t> numbers(int32_t first, size_t count) {
  std::vector<int32_t> ids(count);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

// Rigs where pages are short, prompts share prefixes and modes take turns.
RigOptions crowded() {
  RigOptions options;
  options.executor.modes = {{"w4a16", 16}, {"w4a16+kv8", 32, 2'000'000}};
  options.executor.pages = 24;
  options.executor.max_step_tokens = 48;
  options.engine.max_running = 12;
  return options;
}

TEST(Greedy, AnswersWhatTheExecutorComputesAlone) {
  Rig rig;
  const Answer answer = rig.run(rig.request({1, 70, 71}, 12));
  EXPECT_TRUE(answer.status.ok()) << answer.status;
  EXPECT_EQ(answer.ids(), rig.executor.answer(0, {1, 70, 71}, 12));
  ASSERT_TRUE(answer.all.finish.has_value());
  EXPECT_EQ(answer.all.finish->reason, FinishReason::kLength);
}

TEST(Greedy, IsTheSameInACrowdWithPreemptionsAndPrefixHits) {
  Rig rig(crowded());
  std::mt19937 random(7);
  struct Asked {
    ModeIndex mode;
    std::vector<int32_t> prompt;
    size_t tokens;
    std::shared_ptr<OutputStream> stream;
  };
  std::vector<Asked> asked;
  for (int i = 0; i < 120; ++i) {
    Asked one;
    one.mode = static_cast<ModeIndex>(random() % 2);
    one.prompt = numbers(4, random() % 2 == 0 ? 40 : 5);  // the same beginnings again and again
    one.prompt.push_back(static_cast<int32_t>(random() % 300));
    one.tokens = 1 + random() % 60;
    one.stream = rig.submit(rig.request(one.prompt, static_cast<uint32_t>(one.tokens), one.mode));
    asked.push_back(one);
  }
  uint32_t preemptions = 0, cached = 0;
  for (const Asked& one : asked) {
    const Answer answer = read_all(one.stream);
    ASSERT_TRUE(answer.status.ok()) << answer.status;
    EXPECT_EQ(answer.ids(), rig.executor.answer(one.mode, one.prompt, static_cast<int64_t>(one.tokens)));
    preemptions += answer.all.receipt->preemptions;
    cached += answer.all.receipt->cached_tokens;
  }
  EXPECT_GT(preemptions, 0u);
  EXPECT_GT(cached, 0u);
}

TEST(Greedy, SeededDrawsDoNotDependOnCompany) {
  const auto drawn = [](Rig& rig, uint64_t seed) {
    Request request = rig.request({1, 70, 71}, 25);
    request.sampling.temperature = 0.8f;
    request.sampling.repetition_penalty = 1.1f;
    request.sampling.seed = seed;
    return request;
  };
  Rig alone;
  const std::vector<int32_t> first = alone.run(drawn(alone, 1)).ids();
  EXPECT_NE(first, alone.run(drawn(alone, 2)).ids());
  Rig rig(crowded());
  rig.executor.hold();
  std::vector<std::shared_ptr<OutputStream>> company;
  for (int i = 0; i < 20; ++i) company.push_back(rig.submit(rig.request(numbers(i, 30), 40, i % 2)));
  auto stream = rig.submit(drawn(rig, 1));
  rig.executor.release();
  EXPECT_EQ(read_all(stream).ids(), first);
  for (auto& other : company) read_all(other);
}

TEST(Greedy, PrefixesAreSharedOnlyBetweenEqualSalts) {
  Rig rig;
  const auto cached = [&](const char* salt) {
    Request request = rig.request(numbers(20, 40), 3);
    request.cache_salt = salt;
    const Answer answer = rig.run(request);
    EXPECT_EQ(answer.ids(), rig.executor.answer(0, numbers(20, 40), 3));
    return answer.all.receipt->cached_tokens;
  };
  EXPECT_EQ(cached("a"), 0u);
  EXPECT_EQ(cached("a"), 32u);
  EXPECT_EQ(cached("b"), 0u);
}

TEST(Greedy, DoesNotDependOnTheSizeOfChunks) {
  const std::vector<int32_t> prompt = numbers(10, 200);
  for (int64_t step_tokens : {2, 7, 64, 256}) {
    RigOptions options;
    options.executor.max_step_tokens = step_tokens;
    Rig rig(options);
    EXPECT_EQ(rig.run(rig.request(prompt, 5)).ids(), rig.executor.answer(0, prompt, 5)) << step_tokens;
  }
}

}  // namespace
}  // namespace halftone
