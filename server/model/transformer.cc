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

uint64_t product(int64_t a, int64_t b) { return static_cast<uint64_t>(a) * static_cast<uint64_t>(b); }

size_t workspace_of(const ModelConfig& c, const Device& device, int64_t max_tokens, int64_t logit_rows) {
  const int64_t columns = std::max({c.dim, c.heads * c.head_dim, c.ffn});
  return device.workspace_bytes(std::max(max_tokens, logit_rows), columns, c.heads, c.head_dim);
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

struct Transformer::Wanted {
  Buffer Transformer::*buffer;
  uint64_t bytes;
};

std::vector<Transformer::Wanted> Transformer::wanted_activations(const Decoder& decoder, const Device& device,
                                                                 int64_t max_tokens, int64_t logit_rows) {
  const ModelConfig& c = decoder.config;
  const int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  const uint64_t one = dtype_bytes(device.activation_dtype());
  return {{&Transformer::hidden_, product(max_tokens, c.dim) * one},
          {&Transformer::q_, product(max_tokens, q) * one},
          {&Transformer::k_, product(max_tokens, kv) * one},
          {&Transformer::v_, product(max_tokens, kv) * one},
          {&Transformer::attended_, product(max_tokens, q) * one},
          {&Transformer::gated_, product(max_tokens, c.ffn) * one},
          {&Transformer::last_, product(logit_rows, c.dim) * one},
          {&Transformer::logits_, product(logit_rows, c.vocabulary) * sizeof(float)}};
}

Transformer::Size Transformer::size_of(const Decoder& decoder, const Device& device, int64_t max_tokens,
                                       int64_t logit_rows) {
  Size size;
  size.fixed = workspace_of(decoder.config, device, max_tokens, logit_rows);
  for (const Wanted& w : wanted_activations(decoder, device, max_tokens, logit_rows)) size.fixed += w.bytes;
  size.position = product(2 * sizeof(float), decoder.config.head_dim / 2);
  return size;
}

absl::Status Transformer::allocate(int64_t max_context) {
  const uint64_t table = product(max_context, decoder_.config.head_dim / 2) * sizeof(float);
  for (Buffer* buffer : {&cosines_, &sines_}) {
    *buffer = device_.allocate(table, {"shared", MemoryCategory::kOther});
    if (*buffer) continue;
    return absl::ResourceExhaustedError(absl::StrCat("no memory for rotation tables of ", max_context,
                                                     " positions, twice ", table,
                                                     " bytes; a smaller --max-context makes them smaller"));
  }
  for (const Wanted& w : wanted_activations(decoder_, device_, max_tokens_, logit_rows_)) {
    this->*w.buffer = device_.allocate(w.bytes, {"shared", MemoryCategory::kActivations});
    if (this->*w.buffer) continue;
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", w.bytes, " bytes of activations"));
  }
  const size_t bytes = workspace_of(decoder_.config, device_, max_tokens_, logit_rows_);
  workspace_ = device_.allocate(bytes, {"shared", MemoryCategory::kWorkspace});
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
  const std::vector<double> frequencies = rope_frequencies(decoder_.config, divisors);
  constexpr int64_t kPiece = 4096;  // positions, so that the host never holds a whole table beside the device's
  std::vector<float> cosines(static_cast<size_t>(kPiece) * frequencies.size()), sines(cosines.size());
  for (int64_t first = 0; first < max_context; first += kPiece) {
    const int64_t positions = std::min(kPiece, max_context - first);
    const size_t values = static_cast<size_t>(positions) * frequencies.size();
    const size_t offset = static_cast<size_t>(first) * frequencies.size() * sizeof(float);
    fill_rope_table(frequencies, first, positions, cosines.data(), sines.data());
    device_.upload(cosines_.data() + offset, std::as_bytes(std::span(cosines).first(values)));
    device_.upload(sines_.data() + offset, std::as_bytes(std::span(sines).first(values)));
  }
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
  const LinearCall gated_up[] = {{.weights = layer.up,
                                  .activations = pass.weights.activations,
                                  .x = x,
                                  .rms_weight = layer.mlp_norm,
                                  .rms_epsilon = c.rms_epsilon,
                                  .epilogue = {.gate = {.matrix = layer.gate}},
                                  .y = gated}};
  device_.linear(gated_up);
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
