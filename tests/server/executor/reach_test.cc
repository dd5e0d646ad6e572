// What a token sees: everything before it, only its window, up to the edge of the context and across the splits of
// attention.
#include <gtest/gtest.h>

#include "kernels/cpu/cpu_device.h"
#include "tests/server/executor/executor_rig.h"
#include "tests/server/model/memory_source.h"

namespace halftone {
namespace {

bool same_row(const RowResult& a, const RowResult& b) {
  if (a.logsumexp != b.logsumexp || a.top.size() != b.top.size()) return false;
  for (size_t i = 0; i < a.top.size(); ++i) {
    if (a.top[i].id != b.top[i].id || a.top[i].logprob != b.top[i].logprob) return false;
  }
  return true;
}

ModelSource mistral(int64_t window) {
  TinyCheckpoint tiny;
  tiny.config = tiny_config("mistral");
  tiny.config.sliding_window = window;
  return tiny_source(tiny);
}

TEST(Reach, AWindowShorterThanThePromptHidesWhatIsBeforeIt) {
  ExecutorRig windowed(mistral(7), {.modes = {"f32", "w4a16+kv8"}}), open(mistral(0), {.modes = {"f32", "w4a16+kv8"}});
  for (ModeIndex mode : {0, 1}) {
    std::vector<int32_t> prompt = random_tokens(6, 50, 320), other = prompt;
    other[3] = (prompt[3] + 1) % 320;
    const std::vector<RowResult> a = windowed.run(mode, prompt, 50), b = windowed.run(mode, other, 50);
    // Two layers: a token hears of those up to 2 * 6 before it.
    for (size_t i = 0; i < 50; ++i) EXPECT_EQ(same_row(a[i], b[i]), i < 3 || i > 3 + 12) << i;
    const std::vector<RowResult> all = open.run(mode, prompt, 50), all_other = open.run(mode, other, 50);
    for (size_t i = 3; i < 50; ++i) EXPECT_FALSE(same_row(all[i], all_other[i])) << i;
    for (size_t i = 0; i < 7; ++i) EXPECT_TRUE(same_row(a[i], all[i])) << i << ": the window is not full yet";
    EXPECT_FALSE(same_row(a[7], all[7]));
  }
}

TEST(Reach, AWindowOfTheWholeContextIsNone) {
  ExecutorRig windowed(mistral(512), {}), open(mistral(0), {});
  const std::vector<int32_t> prompt = random_tokens(6, 60, 320);
  expect_same_rows(open.run(0, prompt, 60), windowed.run(0, prompt, 60), "window of 512");
}

TEST(Reach, TheLastPositionOfTheContextIsAsGoodAsAnyOther) {
  const std::vector<int32_t> prompt = random_tokens(2, 48, 320);
  ExecutorRig large(tiny_source(), {});
  const std::vector<RowResult> expected = large.run(0, prompt, 48);
  for (int64_t edge : {33, 47, 48}) {
    ExecutorRig small(tiny_source(), {.max_context = edge});
    ASSERT_EQ(small.executor().context(), edge);
    const std::span<const int32_t> full = std::span(prompt).first(static_cast<size_t>(edge));
    expect_same_rows(std::span(expected).first(full.size()), small.run(0, full, 10), "full to the edge");
  }
  ExecutorRig beyond(tiny_source(), {.max_context = 100'000});
  EXPECT_EQ(beyond.executor().context(), 512) << "the model's own";
}

TEST(Reach, AStepOfTheMostTokensIsAllowed) {
  const std::vector<int32_t> prompt = random_tokens(2, 40, 320);
  ExecutorRig large(tiny_source(), {}), small(tiny_source(), {.max_step_tokens = 40, .logit_rows = 1});
  expect_same_rows(large.run(0, prompt, 7), small.run(0, prompt, 40), "a full step");
  ExecutorRig smallest(tiny_source(), {.max_step_tokens = 1, .logit_rows = 1});
  expect_same_rows(large.run(0, prompt, 40), smallest.run(0, prompt, 1), "token by token");
}

// Attention is cut at multiples of 256 positions.
TEST(Reach, LongPromptsAreTheSameWhereverTheyAreCut) {
  const std::vector<int32_t> prompt = random_tokens(12, 290, 320);
  for (int64_t window : {0, 40, 270}) {
    std::vector<std::vector<RowResult>> expected;
    for (CpuIsa isa : cpu_isas()) {
      for (int threads : {1, 2}) {
        ExecutorRig rig(
            mistral(window),
            {.modes = {"bf16", "w8a16+kv8"}, .isa = cpu_isa_name(isa), .threads = threads, .max_step_tokens = 290});
        for (ModeIndex mode : {0, 1}) {
          const size_t index = static_cast<size_t>(mode);
          if (expected.size() == index) expected.push_back(rig.run(mode, prompt, 290));
          const bool first = isa == cpu_isas()[0] && threads == 1;
          for (int64_t chunk : first ? std::vector<int64_t>{255, 64} : std::vector<int64_t>{100}) {
            expect_same_rows(expected[index], rig.run(mode, prompt, chunk), "chunks of " + std::to_string(chunk));
          }
          if (!first) continue;
          const std::vector<PageId> pages = rig.take_pages(mode, 290);
          rig.run(mode, std::span(prompt).first(280), pages, 280);
          expect_same_rows(std::span(expected[index]).last(10), rig.run(mode, prompt, pages, 1, 280), "decoding");
        }
      }
    }
  }
}

}  // namespace
}  // namespace halftone
