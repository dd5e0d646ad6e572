#include "kernels/weights/w8/w8_search.h"

#include <cmath>

namespace halftone::w8 {
namespace {

// The largest value becomes a code of 108, 108.25, ... 131.75 (above 127 it is clipped). Such small changes move every
// code's rounding error, and some of them suit all values of a group far better than others.
constexpr int kCandidates = 96;
constexpr float kFirstTop = 108, kTopStep = 0.25f;
constexpr int kRounds = 3;  // of refining one of the two best

// Values are measured in steps of plain rounding: -127 to 127.
struct Group {
  const GroupTile& tile;
  Lanes step, per_step;  // in the values' own unit
};

struct Start {
  Lanes error, scale;  // in steps
};

Lanes round_codes(Lanes exact) { return round_even(least(greatest(exact, Lanes(-kLastCode)), Lanes(kLastCode))); }

void measure(GroupTile* tile, Group* group, Lanes* poison) {
  Lanes low, high;
  *poison = 0;
  for (Lanes x : *tile) {
    low = least(x, low);
    high = greatest(x, high);
    *poison += x * 0;
  }
  group->step = greatest(high, Lanes(0) - low) / kLastCode;
  group->per_step = inverse_of(group->step);
  for (Lanes& x : *tile) x = x * group->per_step;
}

// The squared error with a scale that is the same for all rows, in steps.
template <bool kClips>
Lanes error_of(const GroupTile& tile, float scale, float inverse) {
  Lanes error;
  for (Lanes x : tile) {
    Lanes exact = x * inverse, off = exact - (kClips ? round_codes(exact) : round_even(exact));
    error += off * off;
  }
  return error * (scale * scale);
}

Start select(Lanes::Mask m, const Start& yes, const Start& no) {
  return {halftone::select(m, yes.error, no.error), halftone::select(m, yes.scale, no.scale)};
}

void try_scales(const GroupTile& tile, Start* best, Start* second) {
  *best = *second = {INFINITY, 1};
  for (int candidate = 0; candidate < kCandidates; ++candidate) {
    float top = kFirstTop + kTopStep * static_cast<float>(candidate), scale = kLastCode / top;
    bool clips = top > kLastCode;
    Lanes error = clips ? error_of<true>(tile, scale, top / kLastCode) : error_of<false>(tile, scale, top / kLastCode);
    Start start{error, scale};
    Lanes::Mask better = start.error < best->error;
    *second = select(better, *best, select(start.error < second->error, start, *second));
    *best = select(better, start, *best);
  }
}

// The squared error with scales as they are stored, and the scale that fits its codes best; both in steps.
Lanes error_of(const Group& group, const uint16_t* bits, Lanes* fit) {
  Lanes scale = f32_lanes(bits) * group.per_step, inverse = inverse_of(scale);
  Lanes error, code_code, code_value;
  for (Lanes x : group.tile) {
    Lanes q = round_codes(x * inverse), off = x - q * scale;
    error += off * off;
    code_code += q * q;
    code_value += q * x;
  }
  *fit = code_value / code_code;  // NaN where all codes are 0; no comparison takes what comes of it
  return error;
}

void refine(const Group& group, Lanes fit, Lanes* least, uint16_t* best) {
  for (int round = 0; round < kRounds; ++round) {
    uint16_t bits[kSearchRows];
    f16_lanes_in_range(fit * group.step, bits);
    Lanes error = error_of(group, bits, &fit);
    for (int i = 0; i < kSearchRows; ++i) {
      if (!(error[i] < (*least)[i])) continue;
      least->set(i, error[i]);
      best[i] = bits[i];
    }
  }
}

}  // namespace

void find_scales(const GroupRows& in, GroupTile* tile, uint16_t* scale) {
  load_tile(in, tile);
  Group group{*tile, {}, {}};
  Lanes poison, fit;
  measure(tile, &group, &poison);
  f16_lanes_in_range(group.step, scale);
  Lanes least = error_of(group, scale, &fit);
  Start best, second;
  try_scales(*tile, &best, &second);
  refine(group, best.scale, &least, scale);
  refine(group, second.scale, &least, scale);
  for (int i = 0; i < kSearchRows; ++i) {
    if (std::isnan(poison[i])) scale[i] = f16_from_f32(poison[i]);
  }
}

}  // namespace halftone::w8
