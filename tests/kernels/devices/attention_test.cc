// RoPE, the store into pages and attention, for every KV format on every device.
#include <gtest/gtest.h>

#include "kernels/kv/kv.h"
#include "tests/kernels/devices/attention_on_device.h"
#include "tests/kernels/devices/every_device.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

class AttentionOperation : public OnDeviceParam {
 protected:
  void SetUp() override {
    cuda_host::configure(GetParam().settings);
    start(GetParam().device, {.heads = 16, .head_dim = 256});
  }

  void run(const AttentionVariant& variant, const std::vector<std::vector<NewTokens>>& steps) {
    std::vector<int64_t> lengths;
    for (const std::vector<NewTokens>& chunks : steps) {
      lengths.resize(std::max(lengths.size(), chunks.size()));
      for (size_t i = 0; i < chunks.size(); ++i) lengths[i] = std::max(lengths[i], chunks[i].first + chunks[i].tokens);
    }
    for (const KvFormat* format : all_kv_formats()) {
      SCOPED_TRACE(std::string(format->name) + ", heads " + std::to_string(variant.heads) + "/" +
                   std::to_string(variant.kv_heads) + " of " + std::to_string(variant.head_dim) + ", pages of " +
                   std::to_string(variant.page_tokens) + ", window " + std::to_string(variant.window) + ", cap " +
                   std::to_string(variant.cap));
      AttentionOnDevice made(**worker, *format, variant, lengths);
      for (const std::vector<NewTokens>& chunks : steps) made.step(chunks);
    }
  }
};

TEST_P(AttentionOperation, EveryHeadSize) {
  for (int64_t head_dim : {8, 10, 64, 66, 80, 96, 128, 192, 256}) run({.head_dim = head_dim}, {{{0, 17}, {0, 1}}});
}

TEST_P(AttentionOperation, EveryGroupOfHeads) {
  run({.heads = 1, .kv_heads = 1, .head_dim = 16}, {{{0, 5}}});
  run({.heads = 9, .kv_heads = 3, .head_dim = 16}, {{{0, 5}, {0, 20}}});
  run({.heads = 14, .kv_heads = 2, .head_dim = 16, .page_tokens = 32}, {{{0, 33}}});
  run({.heads = 16, .kv_heads = 1, .head_dim = 16}, {{{0, 5}, {0, 9}}});
}

// Pages smaller than what CUDA copies at once, and as large as a split.
TEST_P(AttentionOperation, EverySizeOfPages) {
  for (int64_t page_tokens : {32, 64, 128, 256}) {
    run({.heads = 4, .head_dim = 24, .page_tokens = page_tokens, .window = 40}, {{{0, 290}}, {{290, 1}}});
  }
}

TEST_P(AttentionOperation, NormsOfQueriesAndKeys) {
  run({.heads = 4, .kv_heads = 2, .head_dim = 64, .qk_norm = true}, {{{0, 20}}});
  run({.heads = 4, .kv_heads = 2, .head_dim = 10, .qk_norm = true}, {{{0, 20}}});
}

// Chunks, then decodes beside a chunk: over the edges of pages and splits.
TEST_P(AttentionOperation, ChunksAndDecodes) {
  run({}, {{{0, 255}, {0, 1}}, {{255, 1}, {1, 15}}, {{256, 1}, {16, 1}}, {{257, 280}, {17, 1}}});
}

TEST_P(AttentionOperation, Windows) {
  for (int64_t window : {1, 5, 16, 256, 257}) run({.window = window}, {{{0, 300}}, {{300, 1}}, {{301, 240}}});
}

// Scores whose exponentials no float holds, less the largest of all that is seen; the first is in the midst of a tile.
TEST_P(AttentionOperation, LargeScores) { run({.window = 250, .q_scale = 256}, {{{0, 300}}, {{300, 1}}}); }

TEST_P(AttentionOperation, ARotationOfAPart) {
  for (int64_t rotated : {2, 6, 16}) run({.head_dim = 16, .rotated = rotated}, {{{0, 20}}, {{20, 1}}});
  run({.head_dim = 20, .qk_norm = true, .rotated = 10}, {{{0, 9}}});
}

// Scores far below their cap, near it and far beyond it.
TEST_P(AttentionOperation, CapsOfScores) {
  for (float cap : {0.25f, 2.0f, 50.0f}) {
    run({.heads = 4, .head_dim = 16, .cap = cap}, {{{0, 20}}, {{20, 1}}});
    run({.window = 40, .cap = cap}, {{{0, 290}, {0, 3}}, {{290, 1}, {3, 1}}});
  }
}

// Sinks of tokens that see one position, a window and more than a split, in chunks and decodes.
TEST_P(AttentionOperation, Sinks) {
  for (int64_t window : {0, 5, 300}) {
    run({.heads = 6, .kv_heads = 2, .window = window, .sinks = true}, {{{0, 290}, {0, 3}}, {{290, 1}, {3, 1}}});
  }
  run({.heads = 14, .kv_heads = 2, .head_dim = 10, .cap = 3, .sinks = true}, {{{0, 20}}, {{20, 1}}});
}

INSTANTIATE_TEST_SUITE_P(EveryDevice, AttentionOperation, testing::ValuesIn(every_device()), name_of_device_param);

}  // namespace
}  // namespace halftone::test
