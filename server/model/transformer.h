// One forward pass over a mixed batch: new tokens of any number of sequences, any number of wanted logit rows. Any
// mode's weights, any KV layout. Holds the activations; engine thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/contract/device.h"
#include "server/model/decoder.h"
#include "server/model/weights.h"

namespace halftone {

struct ForwardBatch {
  std::span<const int32_t> tokens;
  std::span<const AttentionSequence> sequences;  // together they cover the tokens, in order
  const KvLayout* kv = nullptr;
  std::byte* arena = nullptr;
};

class Transformer {
 public:
  // RESOURCE_EXHAUSTED where activations, workspace or tables find no memory.
  static absl::StatusOr<std::unique_ptr<Transformer>> create(const ModelSource& source, const Decoder& decoder,
                                                             Device& device, int64_t max_context, int64_t max_tokens,
                                                             int64_t logit_rows);

  // Stores K and V of all tokens and leaves their last hidden states here for logits(). Returns the number of K and V
  // values that were beyond the KV format's range.
  int64_t forward(const ModeWeights& weights, const ForwardBatch& batch);
  // Raw logits of tokens of the last forward pass, at most logit_rows() at once: [rows, vocabulary], valid until the
  // next call.
  Tensor logits(const ModeWeights& weights, std::span<const int64_t> tokens);

  int64_t max_tokens() const { return max_tokens_; }
  int64_t logit_rows() const { return logit_rows_; }

 private:
  Transformer(const Decoder& decoder, Device& device, int64_t max_tokens, int64_t logit_rows)
      : decoder_(decoder), device_(device), max_tokens_(max_tokens), logit_rows_(logit_rows) {}

  absl::Status allocate(const ModelSource& source, int64_t max_context);
  int64_t attention(const ModeWeights& weights, size_t index, const ForwardBatch& batch);
  void feed_forward(const ModeWeights& weights, size_t index, int64_t tokens);
  // The first `tokens` rows of an activation buffer of so many columns.
  Tensor view(const Buffer& buffer, int64_t tokens, int64_t cols) const {
    return f32_tensor(buffer.f32(), tokens, cols);
  }

  Decoder decoder_;
  Device& device_;
  int64_t max_tokens_, logit_rows_;
  Buffer cosines_, sines_;  // [max_context][head_dim / 2]
  Buffer hidden_;           // [max_tokens][dim]: the residual stream
  Buffer q_, k_, v_, attended_;
  Buffer gated_;          // [max_tokens][ffn]
  Buffer last_, logits_;  // [logit_rows][dim], [logit_rows][vocabulary]
  Buffer workspace_;
};

}  // namespace halftone
