// Mixtures of experts. A router scores the experts of a layer for each token, a few are chosen, and only the chosen
// ones are read. Calls of Device (device.h); matrices and pointers are the device's, spans the host's.
#pragma once

#include <span>
#include <vector>

#include "kernels/contract/linear.h"

namespace halftone {

// The experts of each row, best first, and how much each counts.
struct Routing {
  int64_t chosen = 0;          // of each row; at most as many as there are experts
  int32_t* experts = nullptr;  // [rows][chosen]; -1 in rows beyond the step's tokens
  float* weights = nullptr;    // [rows][chosen]; 0 there
};

// Chooses by descending score, equal ones by ascending number; a NaN counts as -infinity.
struct RouteCall {
  Tensor scores;  // [rows, experts], float32: what a router's product gave
  // A weight is the softmax over all experts, or, where it is normalized, over the chosen ones.
  bool normalized = false;
  Routing to;
};

// act(gate x) * (up x) is the input of down. All experts of a call have equal shapes.
struct Expert {
  const PackedMatrix* gate = nullptr;
  const PackedMatrix* up = nullptr;
  const PackedMatrix* down = nullptr;
};

// y = y + sum over the chosen experts, in the order of the choice, of weight * expert(x).
struct ExpertsCall {
  std::span<const Expert> experts;
  Activations activations = Activations::kA16;
  GateKind gate = GateKind::kSilu;
  Tensor x;                           // [rows, dim]
  const float* rms_weight = nullptr;  // as LinearCall has it
  float rms_epsilon = 0;
  Routing routing;
  // Scratch, of rows * chosen rows each. inputs: [, dim] and gated: [, ffn], of x's type; results: [, dim], float32.
  Tensor inputs, gated, results;
  Tensor y;  // [rows, dim], of x's type; may be x
};

// Which slots (row * chosen + choice) an expert serves, so that its weights are read once for all of them.
struct ExpertGroups {
  struct Group {
    int32_t expert = 0;
    int64_t first = 0, count = 0;  // in `slots`
  };
  std::vector<Group> groups;    // ascending experts that are chosen at all
  std::vector<int64_t> slots;   // group after group, ascending in each
  std::vector<int32_t> places;  // of each slot: its index in `slots`; -1: it has no expert
};
// chosen: of all slots, as Routing::experts has them.
ExpertGroups group_by_expert(std::span<const int32_t> chosen);

// The two products of one group's rows of the call's scratch.
LinearCall gated_product(const ExpertsCall& call, const ExpertGroups::Group& group);
LinearCall down_product(const ExpertsCall& call, const ExpertGroups::Group& group);

}  // namespace halftone
