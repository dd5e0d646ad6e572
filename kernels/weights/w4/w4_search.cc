#include "kernels/weights/w4/w4_search.h"

#include <cmath>

namespace halftone::w4 {
namespace {

// The ends of a range may move outwards by a step of its grid, where not all codes are used, and inwards by 0.8 of one,
// where what lies beyond is clipped.
constexpr int kEnds = 7;
constexpr float kFirstEnd = -1, kEndStep = 0.3f;
constexpr int kRounds = 4;  // of refining one of the two best
constexpr float kMiddle = kLastCode / 2;

// Values are measured in steps of plain min-max rounding from the middle of the range: -7.5 to 7.5.
struct Group {
  const GroupTile& tile;
  Lanes low, step, per_step;  // in the values' own unit
  Lanes sum;                  // of the measured values
  float size = 0;
};

// What a least-squares fit needs to know of a choice of codes.
struct Sums {
  Lanes code, code_code, code_value;
};

// A line through (code, value), and how much of the values' squares it explains: a multiple of it, the same for all
// fits of a group. NaN where all codes are equal; no comparison takes that.
struct Fit {
  Lanes slope, mean_code, gain;
};

struct Starts {
  Fit best, second;
};

Lanes round_codes(Lanes exact) { return round_even(least(greatest(exact, Lanes(0)), Lanes(kLastCode))); }

void measure(GroupTile* tile, Group* group, Lanes* poison) {
  Lanes low = tile->front(), high = low;
  *poison = 0;
  for (Lanes x : *tile) {
    low = least(x, low);
    high = greatest(x, high);
    *poison += x * 0;
  }
  group->low = low;
  group->step = (high - low) / kLastCode;
  group->per_step = inverse_of(group->step);
  for (Lanes& x : *tile) {
    x = (x - low) * group->per_step - kMiddle;
    group->sum += x;
  }
}

// The codes that a range makes; it begins at `from`, the same for all rows.
Sums sum_codes(const GroupTile& tile, float from, float inverse) {
  Sums sums;
  for (Lanes x : tile) {
    Lanes q = round_codes((x - from) * inverse);
    sums.code += q;
    sums.code_code += q * q;
    sums.code_value += q * x;
  }
  return sums;
}

Fit fit_codes(const Group& group, const Sums& sums) {
  Lanes together = sums.code_value * group.size - sums.code * group.sum;
  Lanes slope = together / (sums.code_code * group.size - sums.code * sums.code);
  return {slope, sums.code / group.size, together * slope};
}

Fit select(Lanes::Mask m, const Fit& yes, const Fit& no) {
  return {halftone::select(m, yes.slope, no.slope), halftone::select(m, yes.mean_code, no.mean_code),
          halftone::select(m, yes.gain, no.gain)};
}

Starts try_ranges(const Group& group) {
  Starts starts = {};
  for (int a = 0; a < kEnds; ++a) {
    for (int b = 0; b < kEnds; ++b) {
      float low = kFirstEnd + kEndStep * static_cast<float>(a), high = kFirstEnd + kEndStep * static_cast<float>(b);
      Fit fit = fit_codes(group, sum_codes(group.tile, low - kMiddle, kLastCode / (kLastCode - low - high)));
      Lanes::Mask best = starts.best.gain < fit.gain;
      // Of two ranges with the same codes one is enough.
      Lanes below = halftone::select(fit.gain < starts.best.gain, fit.gain, Lanes(0));
      Fit second = select(starts.second.gain < below, fit, starts.second);
      starts.second = select(best, starts.best, second);
      starts.best = select(best, fit, starts.best);
    }
  }
  return starts;
}

// The squared error, in steps, with a scale and a minimum as they are stored, and the sums of its codes.
Lanes error_of(const Group& group, const Grids& grids, Sums* sums) {
  Lanes scale = f32_lanes(grids.scale) * group.per_step, inverse = inverse_of(scale);
  Lanes minimum = (f32_lanes(grids.minimum) - group.low) * group.per_step - kMiddle;
  Lanes error = 0;
  Sums s;
  for (Lanes x : group.tile) {
    Lanes above = x - minimum, q = round_codes(above * inverse), off = above - q * scale;
    error += off * off;
    s.code += q;
    s.code_code += q * q;
    s.code_value += q * x;
  }
  *sums = s;
  return error;
}

// The scale is rounded first; the minimum is the best one for the rounded scale.
Grids stored(const Group& group, const Fit& fit) {
  Grids grids;
  f16_lanes_in_range(fit.slope * group.step, grids.scale);
  Lanes slope = f32_lanes(grids.scale) * group.per_step;
  Lanes minimum = group.sum / group.size - slope * fit.mean_code;
  f16_lanes_in_range(group.low + (minimum + kMiddle) * group.step, grids.minimum);
  return grids;
}

void refine(const Group& group, Fit fit, Lanes* least, Grids* best) {
  Sums sums;
  for (int round = 0; round < kRounds; ++round) {
    Grids grids = stored(group, fit);
    Lanes error = error_of(group, grids, &sums);
    for (int i = 0; i < kSearchRows; ++i) {
      if (!(error[i] < (*least)[i])) continue;
      least->set(i, error[i]);
      best->scale[i] = grids.scale[i];
      best->minimum[i] = grids.minimum[i];
    }
    fit = fit_codes(group, sums);
  }
}

}  // namespace

void find_grids(const GroupRows& in, GroupTile* tile, Grids* out) {
  load_tile(in, tile);
  Group group{*tile, {}, {}, {}, {}, static_cast<float>(in.size)};
  Lanes poison;
  measure(tile, &group, &poison);
  f16_lanes_in_range(group.step, out->scale);
  f16_lanes_in_range(group.low, out->minimum);
  Sums sums;
  Lanes least = error_of(group, *out, &sums);
  Starts starts = try_ranges(group);
  refine(group, starts.best, &least, out);
  refine(group, starts.second, &least, out);
  for (int i = 0; i < kSearchRows; ++i) {
    if (std::isnan(poison[i])) out->scale[i] = f16_from_f32(poison[i]);
  }
}

}  // namespace halftone::w4
