#include "server/model/transformer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "kernels/contract/check.h"
#include "server/model/rope_table.h"

namespace halftone {

absl::StatusOr<std::unique_ptr<Transformer>> Transformer::create(const ModelSource& source, const Decoder& decoder,
                                                                 Device& device, int64_t max_context,
                                                                 int64_t max_tokens, int64_t logit_rows) {
  std::unique_ptr<Transformer> transformer(new Transformer(decoder, device, max_tokens, logit_rows));
  absl::Status status = transformer->allocate(source, max_context);
  if (!status.ok()) return status;
  return transformer;
}

absl::Status Transformer::allocate(const ModelSource& source, int64_t max_context) {
  const ModelConfig& c = decoder_.config;
  int64_t half = c.head_dim / 2, q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  struct Wanted {
    Buffer* buffer;
    int64_t floats;
    MemoryCategory category;
  };
  using enum MemoryCategory;
  const Wanted all[] = {
      {&cosines_, max_context * half, kOther},       {&sines_, max_context * half, kOther},
      {&hidden_, max_tokens_ * c.dim, kActivations}, {&q_, max_tokens_ * q, kActivations},
      {&k_, max_tokens_ * kv, kActivations},         {&v_, max_tokens_ * kv, kActivations},
      {&attended_, max_tokens_ * q, kActivations},   {&gated_, max_tokens_ * c.ffn, kActivations},
      {&last_, logit_rows_ * c.dim, kActivations},   {&logits_, logit_rows_ * c.vocabulary, kActivations}};
  for (const Wanted& w : all) {
    *w.buffer = device_.allocate(static_cast<size_t>(w.floats) * sizeof(float), {"shared", w.category});
    if (!*w.buffer)
      return absl::ResourceExhaustedError(absl::StrCat("no memory for ", w.floats * 4, " bytes of activations"));
  }
  size_t bytes =
      device_.workspace_bytes(std::max(max_tokens_, logit_rows_), std::max({c.dim, q, c.ffn}), c.heads, c.head_dim);
  workspace_ = device_.allocate(bytes, {"shared", kWorkspace});
  if (!workspace_) return absl::ResourceExhaustedError(absl::StrCat("no memory for ", bytes, " bytes of workspace"));
  device_.set_workspace(workspace_.data(), workspace_.bytes());

  std::vector<float> divisors;
  if (const SourceTensor* factors = source.find("rope_factors"); factors != nullptr) {
    divisors.resize(static_cast<size_t>(factors->rows() * factors->cols()));
    absl::Status status = factors->read_rows(0, factors->rows(), divisors);
    if (!status.ok()) return status;
  }
  fill_rope_table(rope_frequencies(c, divisors), max_context, cosines_.f32(), sines_.f32());
  return absl::OkStatus();
}

int64_t Transformer::attention(const ModeWeights& weights, size_t index, const ForwardBatch& batch) {
  const LayerWeights& layer = weights.layers[index];
  const ModelConfig& c = decoder_.config;
  int64_t tokens = static_cast<int64_t>(batch.tokens.size()), kv_cols = c.kv_heads * c.head_dim;
  Tensor x = view(hidden_, tokens, c.dim), q = view(q_, tokens, c.heads * c.head_dim);
  Tensor k = view(k_, tokens, kv_cols), v = view(v_, tokens, kv_cols), attended = view(attended_, tokens, q.cols);
  auto project = [&](const PackedMatrix* matrix, const float* bias, Tensor y) {
    return LinearCall{.weights = matrix,
                      .activations = weights.activations,
                      .x = x,
                      .rms_weight = layer.attention_norm,
                      .rms_epsilon = c.rms_epsilon,
                      .epilogue = {.bias = bias},
                      .y = y};
  };
  const LinearCall projections[] = {project(layer.q, layer.q_bias, q), project(layer.k, layer.k_bias, k),
                                    project(layer.v, layer.v_bias, v)};
  device_.linear(projections);
  KvTarget target{batch.kv, batch.arena, static_cast<int64_t>(index)};
  int64_t clamped = device_.rope_store({.q = q,
                                        .k = k,
                                        .v = v,
                                        .heads = c.heads,
                                        .q_norm = layer.q_norm,
                                        .k_norm = layer.k_norm,
                                        .rms_epsilon = c.rms_epsilon,
                                        .cosines = cosines_.f32(),
                                        .sines = sines_.f32(),
                                        .sequences = batch.sequences,
                                        .kv = target});
  float scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
  device_.attention({.q = q,
                     .y = attended,
                     .heads = c.heads,
                     .scale = scale,
                     .window = c.sliding_window,
                     .sequences = batch.sequences,
                     .kv = target});
  const LinearCall output[] = {
      {.weights = layer.o, .activations = weights.activations, .x = attended, .epilogue = {.add_to_y = true}, .y = x}};
  device_.linear(output);
  return clamped;
}

void Transformer::feed_forward(const ModeWeights& weights, size_t index, int64_t tokens) {
  const LayerWeights& layer = weights.layers[index];
  const ModelConfig& c = decoder_.config;
  Tensor x = view(hidden_, tokens, c.dim), gated = view(gated_, tokens, c.ffn);
  const LinearCall gate_up[] = {{.weights = layer.gate,
                                 .activations = weights.activations,
                                 .x = x,
                                 .rms_weight = layer.mlp_norm,
                                 .rms_epsilon = c.rms_epsilon,
                                 .epilogue = {.swiglu_up = layer.up},
                                 .y = gated}};
  device_.linear(gate_up);
  const LinearCall down[] = {
      {.weights = layer.down, .activations = weights.activations, .x = gated, .epilogue = {.add_to_y = true}, .y = x}};
  device_.linear(down);
}

int64_t Transformer::forward(const ModeWeights& weights, const ForwardBatch& batch) {
  int64_t tokens = static_cast<int64_t>(batch.tokens.size()), clamped = 0;
  HALFTONE_CHECK(tokens <= max_tokens_);
  device_.embed({weights.embedding, batch.tokens, view(hidden_, tokens, decoder_.config.dim)});
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    clamped += attention(weights, i, batch);
    feed_forward(weights, i, tokens);
  }
  return clamped;
}

Tensor Transformer::logits(const ModeWeights& weights, std::span<const int64_t> tokens) {
  const ModelConfig& c = decoder_.config;
  int64_t rows = static_cast<int64_t>(tokens.size());
  HALFTONE_CHECK(rows <= logit_rows_);
  for (int64_t i = 0; i < rows; ++i) {
    std::memcpy(last_.f32() + i * c.dim, hidden_.f32() + tokens[static_cast<size_t>(i)] * c.dim,
                static_cast<size_t>(c.dim) * 4);
  }
  Tensor y = view(logits_, rows, c.vocabulary);
  const LinearCall head[] = {{.weights = weights.head,
                              .activations = weights.activations,
                              .x = view(last_, rows, c.dim),
                              .rms_weight = weights.final_norm,
                              .rms_epsilon = c.rms_epsilon,
                              .y = y}};
  device_.linear(head);
  return y;
}

}  // namespace halftone
