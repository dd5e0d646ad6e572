#include "server/model/transformer.h"

#include <algorithm>
#include <atomic>
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

// What the layer that wants most of something wants.
struct Widths {
  int64_t q = 0, kv = 0, ffn = 0, heads = 0, head_dim = 0;
  bool post_norms = false;
  int64_t experts = 0, chosen = 0, chosen_ffn = 0, expert_ffn = 0;  // chosen_ffn: of all chosen ones of a token

  explicit Widths(const ModelSpec& spec) {
    for (const LayerSpec& layer : spec.layers) {
      q = std::max(q, layer.q_size());
      kv = std::max(kv, layer.kv_size());
      ffn = std::max(ffn, layer.ffn);
      heads = std::max(heads, layer.heads);
      head_dim = std::max(head_dim, layer.head_dim);
      post_norms = post_norms || layer.post_norms;
      experts = std::max(experts, layer.experts.count);
      chosen = std::max(chosen, layer.experts.chosen);
      expert_ffn = std::max(expert_ffn, layer.experts.ffn);
      chosen_ffn = std::max(chosen_ffn, layer.experts.chosen * layer.experts.ffn);
    }
  }
};

size_t workspace_of(const ModelSpec& spec, const Device& device, int64_t max_tokens, int64_t logit_rows) {
  const Widths most(spec);
  const int64_t columns = std::max({spec.dim, most.q, most.ffn, most.expert_ffn, most.experts});
  return device.workspace_bytes(std::max(max_tokens, logit_rows), columns, most.heads, most.head_dim);
}

}  // namespace

Transformer::Transformer(const ModelSpec& spec, Device& device, int64_t max_tokens, int64_t logit_rows)
    : spec_(spec), device_(device), max_tokens_(max_tokens), logit_rows_(logit_rows), id_(next_id()) {}

absl::StatusOr<std::unique_ptr<Transformer>> Transformer::create(const ModelSource& source, Device& device,
                                                                 int64_t max_context, int64_t max_tokens,
                                                                 int64_t logit_rows) {
  HALFTONE_CHECK(logit_rows <= kGatherRows);
  std::unique_ptr<Transformer> transformer(new Transformer(source.spec, device, max_tokens, logit_rows));
  absl::Status status = transformer->allocate(max_context);
  if (status.ok()) status = transformer->make_rope_tables(source, max_context);
  if (!status.ok()) return status;
  return transformer;
}

struct Transformer::Wanted {
  Buffer Transformer::*buffer;
  uint64_t bytes;
};

std::vector<Transformer::Wanted> Transformer::wanted_activations(const ModelSpec& spec, const Device& device,
                                                                 int64_t max_tokens, int64_t logit_rows) {
  const Widths most(spec);
  const uint64_t one = dtype_bytes(device.activation_dtype());
  return {{&Transformer::hidden_, product(max_tokens, spec.dim) * one},
          {&Transformer::q_, product(max_tokens, most.q) * one},
          {&Transformer::k_, product(max_tokens, most.kv) * one},
          {&Transformer::v_, product(max_tokens, most.kv) * one},
          {&Transformer::attended_, product(max_tokens, most.q) * one},
          {&Transformer::branch_, most.post_norms ? product(max_tokens, spec.dim) * one : 0},
          {&Transformer::gated_, product(max_tokens, most.ffn) * one},
          {&Transformer::scores_, product(max_tokens, most.experts) * sizeof(float)},
          {&Transformer::chosen_, product(max_tokens, most.chosen) * sizeof(int32_t)},
          {&Transformer::shares_, product(max_tokens, most.chosen) * sizeof(float)},
          {&Transformer::expert_inputs_, product(max_tokens * most.chosen, spec.dim) * one},
          {&Transformer::expert_gated_, product(max_tokens, most.chosen_ffn) * one},
          {&Transformer::expert_results_, product(max_tokens * most.chosen, spec.dim) * sizeof(float)},
          {&Transformer::last_, product(logit_rows, spec.dim) * one},
          {&Transformer::logits_, product(logit_rows, spec.vocabulary) * sizeof(float)}};
}

Transformer::Size Transformer::size_of(const ModelSpec& spec, const Device& device, int64_t max_tokens,
                                       int64_t logit_rows) {
  Size size;
  size.fixed = workspace_of(spec, device, max_tokens, logit_rows);
  for (const Wanted& w : wanted_activations(spec, device, max_tokens, logit_rows)) size.fixed += w.bytes;
  for (const RopeSpec& rope : spec.ropes) size.position += product(2 * sizeof(float), rope.rotated / 2);
  return size;
}

absl::Status Transformer::allocate(int64_t max_context) {
  for (const RopeSpec& rope : spec_.ropes) {
    const uint64_t bytes = product(max_context, rope.rotated / 2) * sizeof(float);
    RopeTable& table = ropes_.emplace_back();
    for (Buffer* buffer : {&table.cosines, &table.sines}) {
      *buffer = device_.allocate(bytes, {"shared", MemoryCategory::kOther});
      if (*buffer) continue;
      return absl::ResourceExhaustedError(absl::StrCat("no memory for rotation tables of ", max_context,
                                                       " positions, twice ", bytes,
                                                       " bytes; a smaller --max-context makes them smaller"));
    }
  }
  for (const Wanted& w : wanted_activations(spec_, device_, max_tokens_, logit_rows_)) {
    if (w.bytes == 0) continue;
    this->*w.buffer = device_.allocate(w.bytes, {"shared", MemoryCategory::kActivations});
    if (this->*w.buffer) continue;
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", w.bytes, " bytes of activations"));
  }
  const size_t bytes = workspace_of(spec_, device_, max_tokens_, logit_rows_);
  workspace_ = device_.allocate(bytes, {"shared", MemoryCategory::kWorkspace});
  if (!workspace_) return absl::ResourceExhaustedError(absl::StrCat("no memory for ", bytes, " bytes of workspace"));
  device_.set_workspace(workspace_.data(), workspace_.bytes());
  return absl::OkStatus();
}

absl::Status Transformer::make_rope_tables(const ModelSource& source, int64_t max_context) {
  std::vector<float> divisors;
  if (const SourceTensor* factors = source.find("rope_factors"); factors != nullptr) {
    divisors.resize(static_cast<size_t>(factors->rows() * factors->cols()));
    absl::Status status = factors->read_rows(0, factors->rows(), divisors);
    if (!status.ok()) return status;
  }
  for (size_t i = 0; i < ropes_.size(); ++i) {
    fill_rope_table(rope_frequencies(spec_.ropes[i], divisors), max_context, ropes_[i]);
  }
  return absl::OkStatus();
}

void Transformer::fill_rope_table(std::span<const double> frequencies, int64_t max_context, const RopeTable& table) {
  constexpr int64_t kPiece = 4096;  // positions, so that the host never holds a whole table beside the device's
  std::vector<float> cosines(static_cast<size_t>(kPiece) * frequencies.size()), sines(cosines.size());
  for (int64_t first = 0; first < max_context; first += kPiece) {
    const int64_t positions = std::min(kPiece, max_context - first);
    const size_t values = static_cast<size_t>(positions) * frequencies.size();
    const size_t offset = static_cast<size_t>(first) * frequencies.size() * sizeof(float);
    halftone::fill_rope_table(frequencies, first, positions, cosines.data(), sines.data());
    device_.upload(table.cosines.data() + offset, std::as_bytes(std::span(cosines).first(values)));
    device_.upload(table.sines.data() + offset, std::as_bytes(std::span(sines).first(values)));
  }
}

void Transformer::attention(const Pass& pass, size_t index) {
  const LayerWeights& weights = pass.weights.layers[index];
  const LayerSpec& layer = spec_.layers[static_cast<size_t>(weights.layer)];
  const RopeTable& rope = ropes_[layer.rope];
  const int64_t rows = pass.rows;
  Tensor x = view(hidden_, rows, spec_.dim), q = view(q_, rows, layer.q_size());
  Tensor k = view(k_, rows, layer.kv_size()), v = view(v_, rows, layer.kv_size());
  Tensor attended = view(attended_, rows, layer.q_size());
  auto project = [&](TensorPart matrix, TensorPart bias, Tensor y) {
    return LinearCall{.weights = weights.matrix(matrix),
                      .activations = pass.weights.activations,
                      .x = x,
                      .rms_weight = weights.vector(TensorPart::kAttentionNorm),
                      .rms_epsilon = spec_.rms_epsilon,
                      .epilogue = {.bias = weights.vector(bias)},
                      .y = y};
  };
  const LinearCall projections[] = {project(TensorPart::kQ, TensorPart::kQBias, q),
                                    project(TensorPart::kK, TensorPart::kKBias, k),
                                    project(TensorPart::kV, TensorPart::kVBias, v)};
  device_.linear(projections);
  KvTarget target{pass.kv, pass.arena, static_cast<int64_t>(index)};
  device_.rope_store({.q = q,
                      .k = k,
                      .v = v,
                      .heads = layer.heads,
                      .q_norm = weights.vector(TensorPart::kQNorm),
                      .k_norm = weights.vector(TensorPart::kKNorm),
                      .rms_epsilon = spec_.rms_epsilon,
                      .cosines = rope.cosines.f32(),
                      .sines = rope.sines.f32(),
                      .rotated = spec_.ropes[layer.rope].rotated,
                      .kv = target});
  device_.attention({.q = q,
                     .y = attended,
                     .heads = layer.heads,
                     .scale = layer.score_scale,
                     .window = layer.window,
                     .kv = target,
                     .cap = layer.score_cap});
  add_to_hidden(pass,
                {.weights = weights.matrix(TensorPart::kO),
                 .activations = pass.weights.activations,
                 .x = attended,
                 .epilogue = {.bias = weights.vector(TensorPart::kOBias)},
                 .y = x},
                weights.vector(TensorPart::kAttentionPostNorm));
}

// The residual stream, which is the call's y, takes the product or, where it has a norm, the normalized product.
void Transformer::add_to_hidden(const Pass& pass, LinearCall call, const float* post_norm) {
  const Tensor hidden = call.y;
  call.epilogue.add_to_y = post_norm == nullptr;
  if (post_norm != nullptr) call.y = view(branch_, pass.rows, spec_.dim);
  device_.linear({&call, 1});
  if (post_norm == nullptr) return;
  device_.norm({.x = call.y, .weight = post_norm, .epsilon = spec_.rms_epsilon, .add_to_y = true, .y = hidden});
}

void Transformer::feed_forward(const Pass& pass, size_t index) {
  const LayerWeights& weights = pass.weights.layers[index];
  const LayerSpec& layer = spec_.layers[static_cast<size_t>(weights.layer)];
  if (layer.experts.count > 0) return mix_experts(pass, weights, layer);
  Tensor x = view(hidden_, pass.rows, spec_.dim), gated = view(gated_, pass.rows, layer.ffn);
  const LinearGate gate{.matrix = weights.matrix(TensorPart::kGate), .kind = layer.gate};
  const LinearCall gated_up[] = {{.weights = weights.matrix(TensorPart::kUp),
                                  .activations = pass.weights.activations,
                                  .x = x,
                                  .rms_weight = weights.vector(TensorPart::kMlpNorm),
                                  .rms_epsilon = spec_.rms_epsilon,
                                  .epilogue = {.gate = gate},
                                  .y = gated}};
  device_.linear(gated_up);
  add_to_hidden(
      pass, {.weights = weights.matrix(TensorPart::kDown), .activations = pass.weights.activations, .x = gated, .y = x},
      weights.vector(TensorPart::kMlpPostNorm));
}

void Transformer::mix_experts(const Pass& pass, const LayerWeights& weights, const LayerSpec& layer) {
  const ExpertsSpec& spec = layer.experts;
  const int64_t rows = pass.rows, slots = rows * spec.chosen;
  const Tensor x = view(hidden_, rows, spec_.dim), scores = f32_tensor(scores_.f32(), rows, spec.count);
  const float* norm = weights.vector(TensorPart::kMlpNorm);
  const LinearCall router[] = {{.weights = weights.matrix(TensorPart::kRouter),
                                .x = x,
                                .rms_weight = norm,
                                .rms_epsilon = spec_.rms_epsilon,
                                .y = scores}};
  device_.linear(router);
  const Routing routing{spec.chosen, reinterpret_cast<int32_t*>(chosen_.data()), shares_.f32()};
  device_.route({.scores = scores, .normalized = spec.normalized, .to = routing});
  device_.experts({.experts = weights.experts,
                   .activations = pass.weights.activations,
                   .gate = layer.gate,
                   .x = x,
                   .rms_weight = norm,
                   .rms_epsilon = spec_.rms_epsilon,
                   .routing = routing,
                   .inputs = view(expert_inputs_, slots, spec_.dim),
                   .gated = view(expert_gated_, slots, spec.ffn),
                   .results = f32_tensor(expert_results_.f32(), slots, spec_.dim),
                   .y = x});
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
    device_.embed({weights.embedding, view(hidden_, rows, spec_.dim), spec_.embedding_scale});
    for (size_t i = 0; i < weights.layers.size(); ++i) {
      attention(pass, i);
      feed_forward(pass, i);
    }
  };
  const bool is_decode = batch.tokens.size() == batch.sequences.size();
  const bool may_replay = !expert_inputs_ || device_.replays_experts();
  if (is_decode && may_replay) {
    device_.replayable(replay_key(pass), std::ref(run));
  } else {
    run();
  }
}

Tensor Transformer::logits(const ModeWeights& weights, std::span<const int64_t> tokens) {
  int64_t rows = static_cast<int64_t>(tokens.size());
  HALFTONE_CHECK(rows <= logit_rows_);
  const Tensor last = view(last_, rows, spec_.dim);
  device_.gather_rows(view(hidden_, max_tokens_, spec_.dim), tokens, last);
  const Tensor y = f32_tensor(logits_.f32(), rows, spec_.vocabulary);
  const LinearCall head[] = {{.weights = weights.head,
                              .activations = weights.activations,
                              .x = last,
                              .rms_weight = weights.final_norm,
                              .rms_epsilon = spec_.rms_epsilon,
                              .epilogue = {.cap = spec_.logit_cap},
                              .y = y}};
  device_.linear(head);
  return y;
}

}  // namespace halftone
