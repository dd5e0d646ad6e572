// What one mode reads of the weights that were packed for all of them, and the facts about it.
#include <algorithm>
#include <map>
#include <set>

#include "server/model/weight_loader.h"

namespace halftone {

ModeWeights WeightLoader::mode_weights(size_t mode) const {
  const Recipe& recipe = modes_[mode].recipe;
  auto matrix = [&](const ExpectedTensor& expected) {
    return &weights_->packed_.at({expected.name, choose(expected, mode)->name()})->matrix;
  };
  auto vector = [&](const ExpectedTensor& expected) -> const float* {
    auto it = weights_->vectors_.find(expected.name);
    return it == weights_->vectors_.end() ? nullptr : it->second.f32();
  };
  ModeWeights out;
  out.activations = *parse_activations(modes_[mode].activations);
  for (const ExpectedTensor& expected : expected_) {
    if (expected.layer < 0) {
      if (expected.part == TensorPart::kEmbedding) out.embedding = matrix(expected);
      if (expected.part == TensorPart::kHead) out.head = is_used(expected, mode) ? matrix(expected) : out.embedding;
      if (expected.part == TensorPart::kFinalNorm) out.final_norm = vector(expected);
      continue;
    }
    if (recipe.drops(expected.layer)) continue;
    if (out.layers.empty() || out.layers.back().layer != expected.layer)
      out.layers.push_back({.layer = expected.layer});
    LayerWeights& layer = out.layers.back();
    if (expected.vector) {
      layer.vectors[static_cast<size_t>(expected.part)] = vector(expected);
    } else if (expected.expert < 0) {
      layer.matrices[static_cast<size_t>(expected.part)] = matrix(expected);
    } else {
      layer.experts.resize(static_cast<size_t>(expected.expert) + 1);
      Expert& expert = layer.experts.back();
      if (expected.part == TensorPart::kExpertGate) expert.gate = matrix(expected);
      if (expected.part == TensorPart::kExpertUp) expert.up = matrix(expected);
      if (expected.part == TensorPart::kExpertDown) expert.down = matrix(expected);
    }
  }
  count(mode, &out);
  return out;
}

// Whether one token is multiplied with it. Experts of a layer are alike: which are chosen does not matter here.
bool WeightLoader::counts_for_a_token(const ExpectedTensor& expected) const {
  if (expected.expert < 0) return true;
  return expected.expert < source_.spec.layers[static_cast<size_t>(expected.layer)].experts.chosen;
}

void WeightLoader::count(size_t mode, ModeWeights* out) const {
  std::map<std::string, const ExpectedTensor*> by_name;
  for (const ExpectedTensor& expected : expected_) by_name.emplace(expected.name, &expected);
  double bytes = 0, values = 0, expert_bytes = 0;
  std::set<std::pair<int64_t, int64_t>> experts;  // layer and number
  for (const auto& [key, packed] : weights_->packed_) {
    const ExpectedTensor& expected = *by_name.at(key.first);
    if (std::find(packed->users.begin(), packed->users.end(), mode) == packed->users.end()) continue;
    PackedBytes size = device_.weight_bytes(*packed->matrix.format, packed->matrix.shape);
    int64_t count = packed->matrix.shape.rows * packed->matrix.shape.cols;
    const Arithmetic arithmetic = arithmetic_of(*packed->matrix.format, out->activations);
    (packed->users.size() == 1 ? out->own_bytes : out->shared_bytes) += size.total();
    bytes += static_cast<double>(size.total());
    values += static_cast<double>(count);
    out->exact = out->exact && packed->exact;
    if (&packed->matrix == out->head) {
      out->head_bytes = size.total();
      out->head_values = count;
      out->head_arithmetic = arithmetic;
    } else if (&packed->matrix != out->embedding) {
      if (expected.expert < 0) {
        out->body_bytes += size.total();
      } else {
        expert_bytes += static_cast<double>(size.total());
        experts.emplace(expected.layer, expected.expert);
      }
      out->body_values += count;
      if (counts_for_a_token(expected)) out->body_products[static_cast<int>(arithmetic)] += static_cast<double>(count);
    }
  }
  for (const auto& [name, buffer] : weights_->vectors_) {
    out->shared_bytes += buffer.bytes();
    out->body_bytes += buffer.bytes();
  }
  out->bits_per_weight = bytes * 8 / values;
  if (!experts.empty()) out->expert_bytes = expert_bytes / static_cast<double>(experts.size());
}

}  // namespace halftone
