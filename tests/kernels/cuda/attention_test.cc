// RoPE, the store into pages and attention on the CUDA backend, for every KV format: pages byte for byte those of the
// reference, the rest within the bound of double.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/kv/kv.h"
#include "kernels/reference/operations.h"
#include "tests/kernels/cuda/on_cuda.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

struct Shape {
  int64_t heads, kv_heads, head_dim, page_tokens, window;
  bool qk_norm = false;
  float q_scale = 2;
};

// Tokens of a sequence that are new in a step; those before them were stored by an earlier one.
struct Chunk {
  int64_t first, tokens;
};

class AttentionOnCuda {
 public:
  AttentionOnCuda(Device& device, const KvFormat& format, const Shape& shape, std::vector<int64_t> lengths)
      : device_(device),
        shape_(shape),
        layout_(make_kv_layout(format, 2, shape.kv_heads, shape.head_dim, shape.page_tokens)) {
    layout_.page_bytes += 128;
    std::mt19937 random(5);
    int64_t positions = 0;
    for (int64_t length : lengths) {
      const int64_t pages = (length + shape.page_tokens - 1) / shape.page_tokens;
      std::vector<int32_t> ids(static_cast<size_t>(pages));
      for (int32_t& id : ids) id = static_cast<int32_t>(pages_++ * 2 + 1);  // with holes between
      std::shuffle(ids.begin(), ids.end(), random);
      tables_.push_back(ids);
      positions = std::max(positions, length);
    }
    for (int64_t i = 0; i < positions * shape.head_dim / 2; ++i) {
      const double angle = static_cast<double>(i) * 0.37;
      cosines_.push_back(static_cast<float>(std::cos(angle)));
      sines_.push_back(static_cast<float>(std::sin(angle)));
    }
    q_norm_ = normal_floats(random, shape.head_dim), k_norm_ = normal_floats(random, shape.head_dim);
    arena_.assign(static_cast<size_t>(2 * pages_ + 1) * layout_.page_bytes, std::byte{0x7e});
  }

  // Stores and attends the chunks, one of each sequence, here and in the reference.
  void step(const std::vector<Chunk>& chunks) {
    std::vector<AttentionSequence> sequences;
    int64_t rows = 0;
    for (size_t i = 0; i < chunks.size(); ++i) {
      sequences.push_back({rows, chunks[i].tokens, chunks[i].first, tables_[i]});
      rows += chunks[i].tokens;
    }
    const std::vector<int32_t> tokens(static_cast<size_t>(rows), 0);
    const StepBatch batch{tokens, sequences, rows};
    const int64_t q_cols = shape_.heads * shape_.head_dim, kv_cols = shape_.kv_heads * shape_.head_dim;
    std::vector<float> q = as_bf16(normal_floats(random_, rows * q_cols, shape_.q_scale));
    const std::vector<float> k = as_bf16(normal_floats(random_, rows * kv_cols, 2));
    const std::vector<float> v = as_bf16(normal_floats(random_, rows * kv_cols));

    const OnDevice<std::byte> arena(device_, arena_);
    const OnDevice<float> cosines(device_, cosines_), sines(device_, sines_), q_norm(device_, q_norm_),
        k_norm(device_, k_norm_);
    const Bf16OnDevice device_q(device_, q, rows, q_cols, 8), device_k(device_, k, rows, kv_cols),
        device_v(device_, v, rows, kv_cols), device_y(device_, q, rows, q_cols, 16);
    ASSERT_EQ(device_.begin(batch), rows);
    device_.rope_store({device_q.tensor(),
                        device_k.tensor(),
                        device_v.tensor(),
                        shape_.heads,
                        shape_.qk_norm ? q_norm.data() : nullptr,
                        shape_.qk_norm ? k_norm.data() : nullptr,
                        1e-6f,
                        cosines.data(),
                        sines.data(),
                        {&layout_, arena.data(), 1}});
    device_.attention(
        {device_q.tensor(), device_y.tensor(), shape_.heads, scale(), shape_.window, {&layout_, arena.data(), 1}});

    std::vector<float> plain_k = k, plain_v = v, y(q.size());
    const Tensor rotated = f32_tensor(q.data(), rows, q_cols);
    const int64_t clamped = reference::rope_store(batch, {rotated,
                                                          f32_tensor(plain_k.data(), rows, kv_cols),
                                                          f32_tensor(plain_v.data(), rows, kv_cols),
                                                          shape_.heads,
                                                          shape_.qk_norm ? q_norm_.data() : nullptr,
                                                          shape_.qk_norm ? k_norm_.data() : nullptr,
                                                          1e-6f,
                                                          cosines_.data(),
                                                          sines_.data(),
                                                          {&layout_, arena_.data(), 1}});
    EXPECT_EQ(device_.take_clamped(), clamped);
    const std::vector<std::byte> stored = arena.download();
    // A norm's sum of squares has an order of its own here; then the last bits may differ.
    EXPECT_TRUE(shape_.qk_norm || stored == arena_) << "the pages differ";
    arena_ = stored;
    const std::vector<float> got_q = device_q.download();
    for (size_t i = 0; i < q.size(); ++i) {
      ASSERT_NEAR(got_q[i], q[i], reference::kBf16Rounding * std::fabs(q[i]) + 1e-6) << "query value " << i;
    }
    q = got_q;  // as attention reads it
    std::vector<reference::Bounded> exact = reference::exact_attention(batch, {rotated,
                                                                               f32_tensor(y.data(), rows, q_cols),
                                                                               shape_.heads,
                                                                               scale(),
                                                                               shape_.window,
                                                                               {&layout_, arena_.data(), 1}});
    for (reference::Bounded& value : exact) value.bound += reference::kBf16Rounding * std::fabs(value.value) + 1e-30;
    last_y = device_y.download();
    EXPECT_TRUE(within_bounds(last_y, exact));
    EXPECT_TRUE(device_y.gaps_are_untouched());
  }

  std::vector<float> last_y;

 private:
  float scale() const { return 1 / std::sqrt(static_cast<float>(shape_.head_dim)); }

  Device& device_;
  Shape shape_;
  KvLayout layout_;
  int64_t pages_ = 0;
  std::vector<std::vector<int32_t>> tables_;
  std::vector<float> cosines_, sines_, q_norm_, k_norm_;
  std::vector<std::byte> arena_;
  std::mt19937 random_{11};
};

class CudaAttentionTest : public OnCuda {
 protected:
  void run(const Shape& shape, const std::vector<std::vector<Chunk>>& steps) {
    std::vector<int64_t> lengths;
    for (const std::vector<Chunk>& chunks : steps) {
      lengths.resize(std::max(lengths.size(), chunks.size()));
      for (size_t i = 0; i < chunks.size(); ++i) lengths[i] = std::max(lengths[i], chunks[i].first + chunks[i].tokens);
    }
    for (const KvFormat* format : all_kv_formats()) {
      SCOPED_TRACE(std::string(format->name) + ", heads " + std::to_string(shape.heads) + "/" +
                   std::to_string(shape.kv_heads) + " of " + std::to_string(shape.head_dim) + ", pages of " +
                   std::to_string(shape.page_tokens) + ", window " + std::to_string(shape.window));
      AttentionOnCuda made(**worker, *format, shape, lengths);
      for (const std::vector<Chunk>& chunks : steps) made.step(chunks);
    }
  }
};

TEST_P(CudaAttentionTest, EveryHeadSize) {
  for (int64_t head_dim : {8, 64, 66, 96, 128, 192, 256}) run({2, 1, head_dim, 16, 0}, {{{0, 17}, {0, 1}}});
}

TEST_P(CudaAttentionTest, EveryGroupOfHeads) {
  run({1, 1, 16, 16, 0}, {{{0, 5}}});
  run({9, 3, 16, 16, 0}, {{{0, 5}, {0, 20}}});
  run({14, 2, 16, 32, 0}, {{{0, 33}}});
}

// Pages smaller and larger than what is copied at once, and than a split.
TEST_P(CudaAttentionTest, EverySizeOfPages) {
  for (int64_t page_tokens : {32, 64, 128, 256, 512}) run({4, 1, 24, page_tokens, 40}, {{{0, 290}}, {{290, 1}}});
}

TEST_P(CudaAttentionTest, NormsOfQueriesAndKeys) { run({4, 2, 64, 16, 0, true}, {{{0, 20}}}); }

// Chunks, then decodes beside a chunk: over the edges of pages and splits.
TEST_P(CudaAttentionTest, ChunksAndDecodes) {
  run({2, 1, 8, 16, 0}, {{{0, 255}, {0, 1}}, {{255, 1}, {1, 15}}, {{256, 1}, {16, 1}}, {{257, 280}, {17, 1}}});
}

TEST_P(CudaAttentionTest, Windows) {
  for (int64_t window : {1, 16, 256, 257}) run({2, 1, 8, 16, window}, {{{0, 300}}, {{300, 1}}, {{301, 240}}});
}

// Scores whose exponentials no float holds, less the largest of all that is seen; the first is in the midst of a tile.
TEST_P(CudaAttentionTest, LargeScores) { run({2, 1, 8, 16, 250, false, 256}, {{{0, 300}}, {{300, 1}}}); }

// One block walks the splits of a long step, many share those of a decode: the same bits.
TEST_P(CudaAttentionTest, SharedSplitsHaveTheBitsOfWalkedOnes) {
  const Shape shape{4, 2, 16, 16, 0};
  const std::vector<Chunk> before = {{0, 600}}, decode = {{600, 1}};
  AttentionOnCuda shared(**worker, *all_kv_formats()[0], shape, {601});
  shared.step(before);
  shared.step(decode);
  Ledger ledger;
  const std::unique_ptr<Device> bare =
      make_test_device(GetParam().device, 1, ledger);  // no workspace: nothing to share
  AttentionOnCuda walked(*bare, *all_kv_formats()[0], shape, {601});
  walked.step(before);
  walked.step(decode);
  EXPECT_TRUE(same_bits(shared.last_y, walked.last_y));
}

INSTANTIATE_TEST_SUITE_P(AllOrders, CudaAttentionTest, testing::ValuesIn(all_cuda_params()), name_of_cuda_param);

}  // namespace
}  // namespace halftone::test
