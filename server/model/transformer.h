// One forward pass over a mixed batch: new tokens of any number of sequences, any number of wanted logit rows. Any
// mode's weights, any KV layout. Holds the activations; engine thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/contract/device.h"
#include "server/architecture/model_spec.h"
#include "server/model/weights.h"

namespace halftone {

struct ForwardBatch {
  std::span<const int32_t> tokens;
  std::span<const AttentionSequence> sequences;  // together they cover the tokens, in order
  const KvLayout* kv = nullptr;                  // known by its address, as weights are: replays depend on it
  std::byte* arena = nullptr;
};

class Transformer {
 public:
  // What one holds: for any context, and for each position of the context (its rows of the rotation tables).
  struct Size {
    uint64_t fixed = 0, position = 0;
  };
  static Size size_of(const ModelSpec& spec, const Device& device, int64_t max_tokens, int64_t logit_rows);
  // RESOURCE_EXHAUSTED where activations, workspace or tables find no memory.
  static absl::StatusOr<std::unique_ptr<Transformer>> create(const ModelSource& source, Device& device,
                                                             int64_t max_context, int64_t max_tokens,
                                                             int64_t logit_rows);

  // Stores K and V of all tokens and leaves their last hidden states here for logits().
  void forward(const ModeWeights& weights, const ForwardBatch& batch);
  // Raw logits of tokens of the last forward pass, at most logit_rows() at once: [rows, vocabulary] in the device's
  // memory, valid until the next call.
  Tensor logits(const ModeWeights& weights, std::span<const int64_t> tokens);

  int64_t max_tokens() const { return max_tokens_; }
  int64_t logit_rows() const { return logit_rows_; }

 private:
  // What the layers of one pass work with.
  struct Pass {
    const ModeWeights& weights;
    const KvLayout* kv;
    std::byte* arena;
    int64_t rows;  // of the activations
  };

  struct RopeTable {
    Buffer cosines, sines;  // [max_context][rotated / 2]
  };

  Transformer(const ModelSpec& spec, Device& device, int64_t max_tokens, int64_t logit_rows);

  struct Wanted;
  static std::vector<Wanted> wanted_activations(const ModelSpec& spec, const Device& device, int64_t max_tokens,
                                                int64_t logit_rows);
  absl::Status allocate(int64_t max_context);
  absl::Status make_rope_tables(const ModelSource& source, int64_t max_context);
  void fill_rope_table(std::span<const double> frequencies, int64_t max_context, const RopeTable& table);
  void attention(const Pass& pass, size_t index);
  void feed_forward(const Pass& pass, size_t index);
  void add_to_hidden(const Pass& pass, LinearCall call, const float* post_norm);
  uint64_t replay_key(const Pass& pass);
  // The first rows of an activation buffer of so many columns.
  Tensor view(const Buffer& buffer, int64_t rows, int64_t cols) const {
    return tensor_of(buffer.data(), device_.activation_dtype(), rows, cols);
  }

  const ModelSpec spec_;
  Device& device_;
  int64_t max_tokens_, logit_rows_;
  std::vector<RopeTable> ropes_;  // of spec_.ropes
  Buffer hidden_;                 // [max_tokens][dim]: the residual stream
  // Of the layer that wants most; another uses a part.
  Buffer q_, k_, v_, attended_;
  Buffer branch_;         // [max_tokens][dim]: what a layer with post_norms gives, before its norm
  Buffer gated_;          // [max_tokens][ffn]
  Buffer last_, logits_;  // [logit_rows][dim], [logit_rows][vocabulary]
  Buffer workspace_;
  const uint64_t id_;  // of no other transformer, before or after
  std::map<std::tuple<const ModeWeights*, const KvLayout*, std::byte*, int64_t>, uint64_t> replays_;
};

}  // namespace halftone
