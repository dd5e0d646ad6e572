// The search of w8 for lanes L (group_search_body.h), compiled once for each instruction set.
#pragma once

#include "kernels/weights/group_search_body.h"
#include "kernels/weights/w8/w8_search.h"

namespace halftone::w8 {

// The largest value becomes a code of 108, 108.25, ... 131.75 (above 127 it is clipped). Such small changes move every
// code's rounding error, and some of them suit all values of a group far better than others.
inline constexpr int kCandidates = 96;
inline constexpr float kFirstTop = 108, kTopStep = 0.25f;
inline constexpr int kRounds = 3;  // of refining one of the two best

namespace {

// Values are measured in steps of plain rounding: -127 to 127.
template <class L>
struct Group {
  const float* tile;
  int64_t inputs;
  L step, per_step;  // in the values' own unit
};

template <class L>
struct Start {
  L error, scale;  // in steps
};

template <class L>
L round_codes(const L& exact) {
  return round_even(least(greatest(exact, L(-kLastCode)), L(kLastCode)));
}

template <class L>
void measure(float* tile, Group<L>* group, L* poison) {
  L low, high;
  *poison = 0;
  for (int64_t i = 0; i < group->inputs; ++i) {
    const L x = L::load(tile + i * L::kRows);
    low = least(x, low);
    high = greatest(x, high);
    *poison = poisoned(*poison, x);
  }
  group->step = greatest(high, L(0) - low) / kLastCode;
  group->per_step = inverse_of(group->step);
  for (int64_t i = 0; i < group->inputs; ++i) {
    (L::load(tile + i * L::kRows) * group->per_step).store(tile + i * L::kRows);
  }
}

// The squared error with a scale that is the same for all rows, in steps.
template <bool kClips, class L>
L error_of(const Group<L>& group, float scale, float inverse) {
  L error;
  for (int64_t i = 0; i < group.inputs; ++i) {
    const L exact = L::load(group.tile + i * L::kRows) * inverse;
    const L off = exact - (kClips ? round_codes(exact) : round_even(exact));
    error += off * off;
  }
  return error * (scale * scale);
}

template <class L>
Start<L> select_start(const typename L::Mask& m, const Start<L>& yes, const Start<L>& no) {
  return {select(m, yes.error, no.error), select(m, yes.scale, no.scale)};
}

template <class L>
void try_scales(const Group<L>& group, Start<L>* best, Start<L>* second) {
  *best = *second = {__builtin_inff(), 1};
  for (int candidate = 0; candidate < kCandidates; ++candidate) {
    float top = kFirstTop + kTopStep * static_cast<float>(candidate), scale = kLastCode / top;
    bool clips = top > kLastCode;
    const L error =
        clips ? error_of<true>(group, scale, top / kLastCode) : error_of<false>(group, scale, top / kLastCode);
    const Start<L> start{error, scale};
    const typename L::Mask better = start.error < best->error;
    *second = select_start<L>(better, *best, select_start<L>(start.error < second->error, start, *second));
    *best = select_start<L>(better, start, *best);
  }
}

// The squared error with scales as they are stored, and the scale that fits its codes best; both in steps.
template <class L>
L error_of(const Group<L>& group, const L& stored, L* fit) {
  const L scale = stored * group.per_step, inverse = inverse_of(scale);
  L error, code_code, code_value;
  for (int64_t i = 0; i < group.inputs; ++i) {
    const L x = L::load(group.tile + i * L::kRows);
    const L q = round_codes(x * inverse), off = x - q * scale;
    error += off * off;
    code_code += q * q;
    code_value += q * x;
  }
  *fit = code_value / code_code;  // NaN where all codes are 0; no comparison takes what comes of it
  return error;
}

template <class L>
void refine(const Group<L>& group, L fit, L* smallest, L* best) {
  for (int round = 0; round < kRounds; ++round) {
    const L stored = f16_in_range(fit * group.step);
    const L error = error_of(group, stored, &fit);
    const typename L::Mask better = error < *smallest;
    *smallest = select(better, error, *smallest);
    *best = select(better, stored, *best);
  }
}

template <class L>
void find_scales(const GroupRows& in, float* tile, float* scale, float* /*minimum*/) {
  load_tile<L>(in, tile);
  Group<L> group{tile, in.size, {}, {}};
  L poison, fit;
  measure(tile, &group, &poison);
  L found = f16_in_range(group.step);
  L smallest = error_of(group, found, &fit);
  Start<L> best, second;
  try_scales(group, &best, &second);
  refine(group, best.scale, &smallest, &found);
  refine(group, second.scale, &smallest, &found);
  select(poison == poison, found, f16_in_range(poison)).store(scale);
}

template <class L>
void round_group(const float* values, int64_t count, float scale, float /*minimum*/, uint8_t* codes) {
  const L inverse = inverse_of(scale);
  round_values<L>(values, count, codes, [&](const L& x) { return round_codes(x * inverse) + 128; });
}

}  // namespace
}  // namespace halftone::w8
