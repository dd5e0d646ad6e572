#include "tests/kernels/attention_case.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/reference/operations.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {

struct AttentionCase::Step {
  std::vector<float> q, k, v, y;
  std::vector<int32_t> tokens;  // of no importance to attention but for their number
  std::vector<AttentionSequence> sequences;
  int64_t rows = 0;

  StepBatch batch() const { return {tokens, sequences}; }
};

AttentionCase::AttentionCase(const KvFormat& format, const AttentionShape& shape, std::vector<int64_t> lengths,
                             uint32_t seed)
    : shape_(shape) {
  std::mt19937 random(seed);
  // The second of two layers of unequal size is used: an offset that is left out, or of another layer, shows.
  const KvLayerShape layers[] = {{shape.kv_heads + 1, shape.head_dim + 8}, {shape.kv_heads, shape.head_dim}};
  layout_ = make_kv_layout(format, layers, shape.page_tokens);
  layout_.page_bytes += 128;
  int64_t pages = 0, longest = 0;
  for (int64_t length : lengths) {
    Sequence sequence;
    sequence.length = length;
    sequence.q = normal_floats(random, length * shape.heads * shape.head_dim, 2);
    sequence.k = normal_floats(random, length * shape.kv_heads * shape.head_dim, 2);
    sequence.v = normal_floats(random, length * shape.kv_heads * shape.head_dim);
    sequence.pages.resize(static_cast<size_t>((length + shape.page_tokens - 1) / shape.page_tokens));
    pages += static_cast<int64_t>(sequence.pages.size());
    longest = std::max(longest, length);
    sequences_.push_back(std::move(sequence));
  }
  std::vector<int32_t> ids(static_cast<size_t>(pages + 3));
  std::iota(ids.begin(), ids.end(), 0);
  std::shuffle(ids.begin(), ids.end(), random);
  auto next = ids.begin();
  for (Sequence& sequence : sequences_) {
    for (int32_t& page : sequence.pages) page = *next++;
  }
  arena_.resize(ids.size() * layout_.page_bytes);
  forget();
  const int64_t half = (shape.rotated > 0 ? shape.rotated : shape.head_dim) / 2;
  for (int64_t position = 0; position < longest; ++position) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle =
          static_cast<double>(position) * std::pow(1e4, -static_cast<double>(i) / static_cast<double>(half));
      cosines_.push_back(static_cast<float>(std::cos(angle)));
      sines_.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  sinks_ = normal_floats(random, shape.heads, 2);
  if (!shape.qk_norm) return;
  q_norm_ = normal_floats(random, shape.head_dim);
  k_norm_ = normal_floats(random, shape.head_dim);
}

void AttentionCase::magnify(float factor) {
  for (Sequence& sequence : sequences_) {
    for (float& value : sequence.k) value *= factor;
    for (float& value : sequence.v) value *= factor;
  }
}

std::vector<AttentionCase::Chunk> AttentionCase::whole_chunks() const {
  std::vector<Chunk> chunks;
  for (size_t i = 0; i < sequences_.size(); ++i) chunks.push_back({i, 0, sequences_[i].length});
  return chunks;
}

AttentionCase::Step AttentionCase::gather(const std::vector<Chunk>& chunks) const {
  Step step;
  for (const Chunk& chunk : chunks) {
    const Sequence& sequence = sequences_[chunk.sequence];
    auto take = [&](const std::vector<float>& from, int64_t heads, std::vector<float>& to) {
      const int64_t width = heads * shape_.head_dim;
      to.insert(to.end(), from.begin() + chunk.first * width, from.begin() + (chunk.first + chunk.tokens) * width);
    };
    take(sequence.q, shape_.heads, step.q);
    take(sequence.k, shape_.kv_heads, step.k);
    take(sequence.v, shape_.kv_heads, step.v);
    step.sequences.push_back({step.rows, chunk.tokens, chunk.first, sequence.pages});
    step.rows += chunk.tokens;
  }
  step.y.resize(step.q.size(), 1e30f);
  step.tokens.resize(static_cast<size_t>(step.rows));
  return step;
}

RopeStoreCall AttentionCase::rope_call(Step& step) {
  const int64_t width = shape_.kv_heads * shape_.head_dim;
  RopeStoreCall call;
  call.q = f32_tensor(step.q.data(), step.rows, shape_.heads * shape_.head_dim);
  call.k = f32_tensor(step.k.data(), step.rows, width);
  call.v = f32_tensor(step.v.data(), step.rows, width);
  call.heads = shape_.heads;
  if (shape_.qk_norm) {
    call.q_norm = q_norm_.data();
    call.k_norm = k_norm_.data();
    call.rms_epsilon = 1e-6f;
  }
  call.cosines = cosines_.data();
  call.sines = sines_.data();
  call.rotated = shape_.rotated;
  call.kv = {&layout_, arena_.data(), 1};
  return call;
}

AttentionCall AttentionCase::attention_call(Step& step) {
  AttentionCall call;
  call.q = f32_tensor(step.q.data(), step.rows, shape_.heads * shape_.head_dim);
  call.y = f32_tensor(step.y.data(), step.rows, shape_.heads * shape_.head_dim);
  call.heads = shape_.heads;
  call.scale = 1 / std::sqrt(static_cast<float>(shape_.head_dim));
  call.window = shape_.window;
  call.cap = shape_.cap;
  if (shape_.sinks) call.sinks = sinks_.data();
  call.kv = {&layout_, arena_.data(), 1};
  return call;
}

AttentionCase::Result AttentionCase::step(Device* device, const std::vector<Chunk>& chunks) {
  Step step = gather(chunks);
  Result result;
  const RopeStoreCall rope = rope_call(step);
  const AttentionCall attention = attention_call(step);
  if (device != nullptr) {
    device->begin(step.batch());
    device->rope_store(rope);
    device->attention(attention);
    result.clamped = device->take_clamped();
  } else {
    result.clamped = reference::rope_store(step.batch(), rope);
    reference::attention(step.batch(), attention);
  }
  result.q = std::move(step.q);
  result.y = std::move(step.y);
  return result;
}

std::vector<reference::Bounded> AttentionCase::exact(const std::vector<Chunk>& chunks) {
  Step step = gather(chunks);
  reference::rope_store(step.batch(), rope_call(step));
  return reference::exact_attention(step.batch(), attention_call(step));
}

}  // namespace halftone::test
