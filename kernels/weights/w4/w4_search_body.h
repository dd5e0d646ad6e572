// The search of w4 for lanes L (group_search_body.h), compiled once for each instruction set.
#pragma once

#include "kernels/weights/group_search_body.h"
#include "kernels/weights/w4/w4_search.h"

namespace halftone::w4 {

// The ends of a range may move outwards by a step of its grid, where not all codes are used, and inwards by 0.8 of one,
// where what lies beyond is clipped.
inline constexpr int kEnds = 7;
inline constexpr float kFirstEnd = -1, kEndStep = 0.3f;
inline constexpr int kRounds = 4;  // of refining one of the two best
inline constexpr float kMiddle = kLastCode / 2;

namespace {

// Values are measured in steps of plain min-max rounding from the middle of the range: -7.5 to 7.5.
template <class L>
struct Group {
  const float* tile;
  int64_t inputs;
  L low, step, per_step;  // in the values' own unit
  L sum;                  // of the measured values
  float size = 0;
};

// What a least-squares fit needs to know of a choice of codes.
template <class L>
struct Sums {
  L code, code_code, code_value;
};

// A line through (code, value), and how much of the values' squares it explains: a multiple of it, the same for all
// fits of a group. NaN where all codes are equal; no comparison takes that.
template <class L>
struct Fit {
  L slope, mean_code, gain;
};

template <class L>
struct Starts {
  Fit<L> best, second;
};

// Of each row, as they are stored.
template <class L>
struct Grids {
  L scale, minimum;
};

template <class L>
L round_codes(const L& exact) {
  return round_even(least(greatest(exact, L(0)), L(kLastCode)));
}

template <class L>
void measure(float* tile, Group<L>* group, L* poison) {
  L low = L::load(tile), high = low;
  *poison = 0;
  for (int64_t i = 0; i < group->inputs; ++i) {
    const L x = L::load(tile + i * L::kRows);
    low = least(x, low);
    high = greatest(x, high);
    *poison = poisoned(*poison, x);
  }
  group->low = low;
  group->step = (high - low) / kLastCode;
  group->per_step = inverse_of(group->step);
  for (int64_t i = 0; i < group->inputs; ++i) {
    const L x = (L::load(tile + i * L::kRows) - low) * group->per_step - kMiddle;
    x.store(tile + i * L::kRows);
    group->sum += x;
  }
}

// The codes that a range makes; it begins at `from`, the same for all rows.
template <class L>
Sums<L> sum_codes(const Group<L>& group, float from, float inverse) {
  Sums<L> sums;
  for (int64_t i = 0; i < group.inputs; ++i) {
    const L x = L::load(group.tile + i * L::kRows), q = round_codes((x - from) * inverse);
    sums.code += q;
    sums.code_code += q * q;
    sums.code_value += q * x;
  }
  return sums;
}

template <class L>
Fit<L> fit_codes(const Group<L>& group, const Sums<L>& sums) {
  const L together = sums.code_value * group.size - sums.code * group.sum;
  const L slope = together / (sums.code_code * group.size - sums.code * sums.code);
  return {slope, sums.code / group.size, together * slope};
}

template <class L>
Fit<L> select_fit(const typename L::Mask& m, const Fit<L>& yes, const Fit<L>& no) {
  return {select(m, yes.slope, no.slope), select(m, yes.mean_code, no.mean_code), select(m, yes.gain, no.gain)};
}

template <class L>
Starts<L> try_ranges(const Group<L>& group) {
  Starts<L> starts = {};
  for (int a = 0; a < kEnds; ++a) {
    for (int b = 0; b < kEnds; ++b) {
      float low = kFirstEnd + kEndStep * static_cast<float>(a), high = kFirstEnd + kEndStep * static_cast<float>(b);
      const Fit<L> fit = fit_codes(group, sum_codes(group, low - kMiddle, kLastCode / (kLastCode - low - high)));
      const typename L::Mask best = starts.best.gain < fit.gain;
      // Of two ranges with the same codes one is enough.
      const L below = select(fit.gain < starts.best.gain, fit.gain, L(0));
      const Fit<L> second = select_fit<L>(starts.second.gain < below, fit, starts.second);
      starts.second = select_fit<L>(best, starts.best, second);
      starts.best = select_fit<L>(best, fit, starts.best);
    }
  }
  return starts;
}

// The squared error, in steps, with a scale and a minimum as they are stored, and the sums of its codes.
template <class L>
L error_of(const Group<L>& group, const Grids<L>& grids, Sums<L>* sums) {
  const L scale = grids.scale * group.per_step, inverse = inverse_of(scale);
  const L minimum = (grids.minimum - group.low) * group.per_step - kMiddle;
  L error = 0;
  Sums<L> s;
  for (int64_t i = 0; i < group.inputs; ++i) {
    const L x = L::load(group.tile + i * L::kRows);
    const L above = x - minimum, q = round_codes(above * inverse), off = above - q * scale;
    error += off * off;
    s.code += q;
    s.code_code += q * q;
    s.code_value += q * x;
  }
  *sums = s;
  return error;
}

// The scale is rounded first; the minimum is the best one for the rounded scale.
template <class L>
Grids<L> stored(const Group<L>& group, const Fit<L>& fit) {
  Grids<L> grids;
  grids.scale = f16_in_range(fit.slope * group.step);
  const L slope = grids.scale * group.per_step;
  const L minimum = group.sum / group.size - slope * fit.mean_code;
  grids.minimum = f16_in_range(group.low + (minimum + kMiddle) * group.step);
  return grids;
}

template <class L>
void refine(const Group<L>& group, Fit<L> fit, L* smallest, Grids<L>* best) {
  Sums<L> sums;
  for (int round = 0; round < kRounds; ++round) {
    const Grids<L> grids = stored(group, fit);
    const L error = error_of(group, grids, &sums);
    const typename L::Mask better = error < *smallest;
    *smallest = select(better, error, *smallest);
    best->scale = select(better, grids.scale, best->scale);
    best->minimum = select(better, grids.minimum, best->minimum);
    fit = fit_codes(group, sums);
  }
}

template <class L>
void find_grids(const GroupRows& in, float* tile, float* scale, float* minimum) {
  load_tile<L>(in, tile);
  Group<L> group{tile, in.size, {}, {}, {}, {}, static_cast<float>(in.size)};
  L poison;
  measure(tile, &group, &poison);
  Grids<L> best{f16_in_range(group.step), f16_in_range(group.low)};
  Sums<L> sums;
  L smallest = error_of(group, best, &sums);
  const Starts<L> starts = try_ranges(group);
  refine(group, starts.best, &smallest, &best);
  refine(group, starts.second, &smallest, &best);
  select(poison == poison, best.scale, f16_in_range(poison)).store(scale);
  best.minimum.store(minimum);
}

template <class L>
void round_group(const float* values, int64_t count, float scale, float minimum, uint8_t* codes) {
  const L inverse = inverse_of(scale), from = minimum;
  round_values<L>(values, count, codes, [&](const L& x) { return round_codes((x - from) * inverse); });
}

}  // namespace
}  // namespace halftone::w4
