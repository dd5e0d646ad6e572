#include "server/model/transformer.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>

#include "absl/strings/str_cat.h"
#include "kernels/contract/check.h"
#include "server/model/rope_table.h"

namespace halftone {
namespace {

// A device may remember what it recorded for longer than a transformer lives, so that an address would not do.
uint64_t next_id() {
  static std::atomic<uint64_t> ids{0};
  return ++ids;
}

}  // namespace

Transformer::Transformer(const Decoder& decoder, Device& device, int64_t max_tokens, int64_t logit_rows)
    : decoder_(decoder), device_(device), max_tokens_(max_tokens), logit_rows_(logit_rows), id_(next_id()) {}

absl::StatusOr<std::unique_ptr<Transformer>> Transformer::create(const ModelSource& source, const Decoder& decoder,
                                                                 Device& device, int64_t max_context,
                                                                 int64_t max_tokens, int64_t logit_rows) {
  HALFTONE_CHECK(logit_rows <= kGatherRows);
  std::unique_ptr<Transformer> transformer(new Transformer(decoder, device, max_tokens, logit_rows));
  absl::Status status = transformer->allocate(max_context);
  if (status.ok()) status = transformer->fill_rope_tables(source, max_context);
  if (!status.ok()) return status;
  return transformer;
}

absl::Status Transformer::allocate(int64_t max_context) {
  const ModelConfig& c = decoder_.config;
  int64_t half = c.head_dim / 2, q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  struct Wanted {
    Buffer* buffer;
    DType dtype;
    int64_t values;
    MemoryCategory category;
  };
  using enum MemoryCategory;
  const DType of = device_.activation_dtype(), f32 = DType::kF32;
  const Wanted all[] = {
      {&cosines_, f32, max_context * half, kOther},      {&sines_, f32, max_context * half, kOther},
      {&hidden_, of, max_tokens_ * c.dim, kActivations}, {&q_, of, max_tokens_ * q, kActivations},
      {&k_, of, max_tokens_ * kv, kActivations},         {&v_, of, max_tokens_ * kv, kActivations},
      {&attended_, of, max_tokens_ * q, kActivations},   {&gated_, of, max_tokens_ * c.ffn, kActivations},
      {&last_, of, logit_rows_ * c.dim, kActivations},   {&logits_, f32, logit_rows_ * c.vocabulary, kActivations}};
  for (const Wanted& w : all) {
    const size_t bytes = static_cast<size_t>(w.values) * dtype_bytes(w.dtype);
    *w.buffer = device_.allocate(bytes, {"shared", w.category});
    if (!*w.buffer) return absl::ResourceExhaustedError(absl::StrCat("no memory for ", bytes, " bytes of activations"));
  }
  size_t bytes =
      device_.workspace_bytes(std::max(max_tokens_, logit_rows_), std::max({c.dim, q, c.ffn}), c.heads, c.head_dim);
  workspace_ = device_.allocate(bytes, {"shared", kWorkspace});
  if (!workspace_) return absl::ResourceExhaustedError(absl::StrCat("no memory for ", bytes, " bytes of workspace"));
  device_.set_workspace(workspace_.data(), workspace_.bytes());
  return absl::OkStatus();
}

absl::Status Transformer::fill_rope_tables(const ModelSource& source, int64_t max_context) {
  std::vector<float> divisors;
  if (const SourceTensor* factors = source.find("rope_factors"); factors != nullptr) {
    divisors.resize(static_cast<size_t>(factors->rows() * factors->cols()));
    absl::Status status = factors->read_rows(0, factors->rows(), divisors);
    if (!status.ok()) return status;
  }
  std::vector<float> cosines(static_cast<size_t>(max_context * decoder_.config.head_dim / 2)), sines(cosines.size());
  fill_rope_table(rope_frequencies(decoder_.config, divisors), max_context, cosines.data(), sines.data());
  device_.upload(cosines_.data(), std::as_bytes(std::span(cosines)));
  device_.upload(sines_.data(), std::as_bytes(std::span(sines)));
  return absl::OkStatus();
}

void Transformer::attention(const Pass& pass, size_t index) {
  const LayerWeights& layer = pass.weights.layers[index];
  const ModelConfig& c = decoder_.config;
  int64_t rows = pass.rows, kv_cols = c.kv_heads * c.head_dim;
  Tensor x = view(hidden_, rows, c.dim), q = view(q_, rows, c.heads * c.head_dim);
  Tensor k = view(k_, rows, kv_cols), v = view(v_, rows, kv_cols), attended = view(attended_, rows, q.cols);
  auto project = [&](const PackedMatrix* matrix, const float* bias, Tensor y) {
    return LinearCall{.weights = matrix,
                      .activations = pass.weights.activations,
                      .x = x,
                      .rms_weight = layer.attention_norm,
                      .rms_epsilon = c.rms_epsilon,
                      .epilogue = {.bias = bias},
                      .y = y};
  };
  const LinearCall projections[] = {project(layer.q, layer.q_bias, q), project(layer.k, layer.k_bias, k),
                                    project(layer.v, layer.v_bias, v)};
  device_.linear(projections);
  KvTarget target{pass.kv, pass.arena, static_cast<int64_t>(index)};
  device_.rope_store({.q = q,
                      .k = k,
                      .v = v,
                      .heads = c.heads,
                      .q_norm = layer.q_norm,
                      .k_norm = layer.k_norm,
                      .rms_epsilon = c.rms_epsilon,
                      .cosines = cosines_.f32(),
                      .sines = sines_.f32(),
                      .kv = target});
  float scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
  device_.attention(
      {.q = q, .y = attended, .heads = c.heads, .scale = scale, .window = c.sliding_window, .kv = target});
  const LinearCall output[] = {{.weights = layer.o,
                                .activations = pass.weights.activations,
                                .x = attended,
                                .epilogue = {.bias = layer.o_bias, .add_to_y = true},
                                .y = x}};
  device_.linear(output);
}

void Transformer::feed_forward(const Pass& pass, size_t index) {
  const LayerWeights& layer = pass.weights.layers[index];
  const ModelConfig& c = decoder_.config;
  Tensor x = view(hidden_, pass.rows, c.dim), gated = view(gated_, pass.rows, c.ffn);
  const LinearCall gate_up[] = {{.weights = layer.gate,
                                 .activations = pass.weights.activations,
                                 .x = x,
                                 .rms_weight = layer.mlp_norm,
                                 .rms_epsilon = c.rms_epsilon,
                                 .epilogue = {.swiglu_up = layer.up},
                                 .y = gated}};
  device_.linear(gate_up);
  const LinearCall down[] = {{.weights = layer.down,
                              .activations = pass.weights.activations,
                              .x = gated,
                              .epilogue = {.add_to_y = true},
                              .y = x}};
  device_.linear(down);
}

uint64_t Transformer::replay_key(const Pass& pass) {
  const uint64_t next = replays_.size();
  const auto [place, is_new] = replays_.try_emplace({&pass.weights, pass.kv, pass.arena, pass.rows}, next);
  return id_ << 32 | place->second;
}

void Transformer::forward(const ModeWeights& weights, const ForwardBatch& batch) {
  HALFTONE_CHECK(static_cast<int64_t>(batch.tokens.size()) <= max_tokens_);
  const int64_t rows = device_.begin({batch.tokens, batch.sequences, max_tokens_});
  HALFTONE_CHECK(static_cast<int64_t>(batch.tokens.size()) <= rows && rows <= max_tokens_);
  const Pass pass{weights, batch.kv, batch.arena, rows};
  auto run = [&] {
    device_.embed({weights.embedding, view(hidden_, rows, decoder_.config.dim)});
    for (size_t i = 0; i < weights.layers.size(); ++i) {
      attention(pass, i);
      feed_forward(pass, i);
    }
  };
  const bool decode = batch.tokens.size() == batch.sequences.size();
  decode ? device_.replayable(replay_key(pass), std::ref(run)) : run();
}

Tensor Transformer::logits(const ModeWeights& weights, std::span<const int64_t> tokens) {
  const ModelConfig& c = decoder_.config;
  int64_t rows = static_cast<int64_t>(tokens.size());
  HALFTONE_CHECK(rows <= logit_rows_);
  const Tensor last = view(last_, rows, c.dim);
  device_.gather_rows(view(hidden_, max_tokens_, c.dim), tokens, last);
  const Tensor y = f32_tensor(logits_.f32(), rows, c.vocabulary);
  const LinearCall head[] = {{.weights = weights.head,
                              .activations = weights.activations,
                              .x = last,
                              .rms_weight = weights.final_norm,
                              .rms_epsilon = c.rms_epsilon,
                              .y = y}};
  device_.linear(head);
  return y;
}

}  // namespace halftone
