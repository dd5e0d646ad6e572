#include "kernels/contract/experts.h"

#include <algorithm>

namespace halftone {

ExpertGroups group_by_expert(std::span<const int32_t> chosen) {
  ExpertGroups made;
  made.places.assign(chosen.size(), -1);
  for (size_t slot = 0; slot < chosen.size(); ++slot) {
    if (chosen[slot] >= 0) made.slots.push_back(static_cast<int64_t>(slot));
  }
  const auto expert_of = [&](int64_t slot) { return chosen[static_cast<size_t>(slot)]; };
  std::stable_sort(made.slots.begin(), made.slots.end(),
                   [&](int64_t a, int64_t b) { return expert_of(a) < expert_of(b); });
  for (size_t place = 0; place < made.slots.size(); ++place) {
    const int64_t slot = made.slots[place];
    made.places[static_cast<size_t>(slot)] = static_cast<int32_t>(place);
    if (made.groups.empty() || made.groups.back().expert != expert_of(slot)) {
      made.groups.push_back({expert_of(slot), static_cast<int64_t>(place), 0});
    }
    ++made.groups.back().count;
  }
  return made;
}

LinearCall gated_product(const ExpertsCall& call, const ExpertGroups::Group& group) {
  const Expert& expert = call.experts[static_cast<size_t>(group.expert)];
  LinearCall product;
  product.weights = expert.up;
  product.activations = call.activations;
  product.x = rows_of(call.inputs, group.first, group.count);
  product.rms_weight = call.rms_weight;
  product.rms_epsilon = call.rms_epsilon;
  product.epilogue.gate.matrix = expert.gate;
  product.epilogue.gate.kind = call.gate;
  product.y = rows_of(call.gated, group.first, group.count);
  return product;
}

LinearCall down_product(const ExpertsCall& call, const ExpertGroups::Group& group) {
  LinearCall product;
  product.weights = call.experts[static_cast<size_t>(group.expert)].down;
  product.activations = call.activations;
  product.x = rows_of(call.gated, group.first, group.count);
  product.y = rows_of(call.results, group.first, group.count);
  return product;
}

}  // namespace halftone
