// A strip's weights on their way from memory to a warp's registers, tile after tile, and their product with some eights
// of tokens. Codes are multiplied as integers that bf16 holds exactly; scale and minimum come in once per segment, in
// float32: y += scale * (codes . x) + minimum * (sum of x).
//
// Codes, a format's own part:
//   kBits                            4, 8 or 16
//   kScaled                          whether there are scales
//   kHasMinimum                      of scaled ones: whether there is a minimum to add, of any kind of offset, and
//   minimum(offset kind, scale, offset)
//   fragment(words, step, a)         a lane's operand of mma from its words of a tile
//   value(code)                      the number that a code stands for, before its scale
//   kFlip                            of scaled ones: bits by which stored codes differ from exported ones
#pragma once

#include <type_traits>

#include "kernels/cuda/fragments.h"
#include "kernels/cuda/matrix.h"
#include "kernels/cuda/primitives/copy.h"
#include "kernels/cuda/primitives/matrix.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/numbers.h"
#include "kernels/cuda/product_plan.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

using fragments::kLanes, fragments::kStripRows, product::kTokenColumns;
using Offset = AffineGrid::Offset;

struct alignas(16) Sums {
  float unit[kTileSums];
};

// What of a matrix is a constant of a kernel.
template <typename FormatCodes, int kSegmentInputs, bool kOneGroupASegment, Offset kKindOfOffset>
struct Kind {
  using Codes = FormatCodes;
  static constexpr int kSegment = kSegmentInputs, kSegments = kTileInputs / kSegment;
  static constexpr bool kGroupIsSegment = kOneGroupASegment;  // otherwise a group has several
  static constexpr Offset kOffset = kKindOfOffset;
  static constexpr int kCodeChunks = fragments::tile_chunks(Codes::kBits);  // of 32 lanes
  // Of a strip and a group, 16 bytes each.
  static constexpr int kGroupChunks = Codes::kScaled ? 8 * fragments::scale_numbers(kOffset) * 2 / 16 : 0;
};

// A strip's side of one tile, in shared memory: codes, then the scales of its segments.
template <typename Kind>
struct Slot {
  Bytes16 chunks[Kind::kCodeChunks * kLanes + Kind::kSegments * Kind::kGroupChunks];

  HALFTONE_DEVICE Bytes16* scales() { return chunks + Kind::kCodeChunks * kLanes; }
  HALFTONE_DEVICE const uint16_t* scales(int segment) const {
    return reinterpret_cast<const uint16_t*>(chunks + Kind::kCodeChunks * kLanes + segment * Kind::kGroupChunks);
  }
};

// Copies a strip's tiles into slots, from one tile on: one warp, asynchronously.
template <typename Kind>
class WeightStream {
 public:
  HALFTONE_DEVICE WeightStream(const DeviceMatrix& m, int strip, int tile) : group_(m.group) {
    constexpr int kStrips = kBlockRows / kStripRows;
    const int block = strip / kStrips, in_block = strip % kStrips;
    codes_ = m.codes + static_cast<uint64_t>(block) * m.block_codes +
             ((static_cast<int64_t>(in_block) * m.tiles + tile) * kTileChunks + lane()) * sizeof(Bytes16);
    if constexpr (Kind::Codes::kScaled) {
      const int input = tile * kTileInputs + lane() / Kind::kGroupChunks * Kind::kSegment, group = input / m.group;
      in_group_ = input - group * m.group;
      scales_ = m.scales + static_cast<uint64_t>(block) * m.block_scales +
                (static_cast<int64_t>(in_block) * fragments::stored_groups(m.tiles, m.group) + group) * kGroupBytes +
                lane() % Kind::kGroupChunks * sizeof(Bytes16);
    }
  }

  HALFTONE_DEVICE void next(Slot<Kind>* slot) {
    HALFTONE_UNROLL
    for (int chunk = 0; chunk < Kind::kCodeChunks; ++chunk) {
      cp_async_16(slot->chunks + chunk * kLanes + lane(), codes_ + chunk * kLanes * sizeof(Bytes16));
    }
    codes_ += kTileChunks * sizeof(Bytes16);
    if (lane() < Kind::kSegments * Kind::kGroupChunks) {
      cp_async_16(slot->scales() + lane(), scales_);
      pass_tile();
    }
  }

 private:
  static constexpr int kTileChunks = Kind::kCodeChunks * kLanes, kGroupBytes = Kind::kGroupChunks * 16;

  HALFTONE_DEVICE static int lane() { return static_cast<int>(threadIdx.x) % kLanes; }
  HALFTONE_DEVICE void pass_tile() {
    if constexpr (Kind::kGroupIsSegment) {
      scales_ += Kind::kSegments * kGroupBytes;
    } else {
      for (in_group_ += kTileInputs; in_group_ >= group_; in_group_ -= group_) scales_ += kGroupBytes;
    }
  }

  const std::byte *codes_ = nullptr, *scales_ = nullptr;  // this lane's next 16 bytes
  int group_, in_group_ = 0;
};

// One lane's.
template <typename Kind>
struct Weights {
  uint32_t words[Kind::kCodeChunks * fragments::kChunkWords];
  uint32_t scales[Kind::kSegments], offsets[Kind::kSegments];  // two f16: of rows g and g + 8 (g = lane / 4)
};

template <typename Kind>
HALFTONE_DEVICE Weights<Kind> read_slot(const Slot<Kind>& slot) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  Weights<Kind> out = {};
  HALFTONE_UNROLL
  for (int chunk = 0; chunk < Kind::kCodeChunks; ++chunk) {
    const Bytes16 words = load_shared(slot.chunks + chunk * kLanes + lane);
    uint32_t* at = out.words + chunk * fragments::kChunkWords;
    at[0] = words.x, at[1] = words.y, at[2] = words.z, at[3] = words.w;
  }
  if constexpr (Kind::Codes::kScaled) {
    HALFTONE_UNROLL
    for (int segment = 0; segment < Kind::kSegments; ++segment) {
      const uint16_t* at = slot.scales(segment) + lane / 4 * fragments::scale_numbers(Kind::kOffset);
      if constexpr (Kind::kOffset == Offset::kSymmetric) {
        out.scales[segment] = load_shared(reinterpret_cast<const uint32_t*>(at));
      } else {
        const Bytes8 both = load_shared(reinterpret_cast<const Bytes8*>(at));
        out.scales[segment] = both.x, out.offsets[segment] = both.y;
      }
    }
  }
  return out;
}

// Rows g and g + 8.
struct Pair {
  float row[2];
};
HALFTONE_DEVICE Pair f32_pair(uint32_t halves) {
  return {{f32_from_f16(static_cast<uint16_t>(halves)), f32_from_f16(static_cast<uint16_t>(halves >> 16))}};
}

template <typename Kind>
HALFTONE_DEVICE Pair minimums(const Pair& scale, uint32_t offsets) {
  const Pair offset = Kind::kOffset == Offset::kSymmetric ? Pair{} : f32_pair(offsets);
  return {{Kind::Codes::minimum(Kind::kOffset, scale.row[0], offset.row[0]),
           Kind::Codes::minimum(Kind::kOffset, scale.row[1], offset.row[1])}};
}

// dots of a segment come into y, for one eight of tokens: y is of rows g and g + 8 by tokens 2 t and 2 t + 1.
template <typename Kind>
HALFTONE_DEVICE void add_segment(const Weights<Kind>& weights, int segment, const float (&sums)[2],
                                 const float (&dots)[4], float (&y)[4]) {
  if constexpr (!Kind::Codes::kScaled) {
    HALFTONE_UNROLL
    for (int i = 0; i < 4; ++i) y[i] = y[i] + dots[i];
  } else {
    const Pair scale = f32_pair(weights.scales[segment]);
    HALFTONE_UNROLL
    for (int i = 0; i < 4; ++i) y[i] = fma(scale.row[i / 2], dots[i], y[i]);
    if constexpr (Kind::Codes::kHasMinimum) {
      const Pair minimum = minimums<Kind>(scale, weights.offsets[segment]);
      HALFTONE_UNROLL
      for (int i = 0; i < 4; ++i) y[i] = fma(minimum.row[i / 2], sums[i % 2], y[i]);
    }
  }
}

// y: rows g and g + 8 (g = lane / 4) of each strip by tokens 2 t and 2 t + 1 (t = lane % 4) of each eight. Inputs:
// x(n, half), inputs 4 t to 4 t + 3 of two steps for token g of eight n; sums(n, 0) and sums(n, 1) of its tokens.
template <int kStrips, int kColumns, typename Kind, typename Inputs>
HALFTONE_DEVICE void add_tile(const Weights<Kind> (&weights)[kStrips], const Inputs& inputs,
                              float (&y)[kStrips][kColumns][4]) {
  constexpr int kSteps = Kind::kSegment / fragments::kStepInputs, kSegmentUnits = Kind::kSegment / kSumInputs;
  HALFTONE_UNROLL
  for (int segment = 0; segment < Kind::kSegments; ++segment) {
    float dots[kStrips][kColumns][4] = {};
    HALFTONE_UNROLL
    for (int step = segment * kSteps; step < (segment + 1) * kSteps; ++step) {
      uint32_t a[kStrips][4];
      HALFTONE_UNROLL
      for (int s = 0; s < kStrips; ++s) Kind::Codes::fragment(weights[s].words, step, a[s]);
      HALFTONE_UNROLL
      for (int n = 0; n < kColumns; ++n) {
        const Bytes16 two = inputs.x(n, step / 2);
        const uint32_t b[2] = {step % 2 == 0 ? two.x : two.z, step % 2 == 0 ? two.y : two.w};
        HALFTONE_UNROLL
        for (int s = 0; s < kStrips; ++s) mma_bf16_16816(dots[s][n], a[s], b);
      }
    }
    HALFTONE_UNROLL
    for (int n = 0; n < kColumns; ++n) {
      float sum[2] = {};
      if constexpr (Kind::Codes::kHasMinimum) {
        HALFTONE_UNROLL
        for (int i = 0; i < 2; ++i) {
          const Sums sums = inputs.sums(n, i);
          sum[i] = sums.unit[segment * kSegmentUnits];
          HALFTONE_UNROLL
          for (int unit = 1; unit < kSegmentUnits; ++unit) sum[i] = sum[i] + sums.unit[segment * kSegmentUnits + unit];
        }
      }
      HALFTONE_UNROLL
      for (int s = 0; s < kStrips; ++s) add_segment(weights[s], segment, sum, dots[s][n], y[s][n]);
    }
  }
}

// Where piece `piece` of `pieces` begins: an even tile; the last one ends with the tiles.
HALFTONE_HOST_DEVICE int piece_begin(int piece, int tiles, int pieces) {
  return piece == pieces ? tiles : piece * (tiles / 2) / pieces * 2;
}

// Runs with(Kind()) for the matrix' kind.
template <typename Codes, typename With>
cudaError_t with_kind(const DeviceMatrix& m, const With& with) {
  if constexpr (!Codes::kScaled) {
    return with(Kind<Codes, 64, false, Offset::kSymmetric>());
  } else {
    auto with_offset = [&](auto length, auto group_is_segment) {
      constexpr int kSegment = decltype(length)::value;
      constexpr bool kGroupIsSegment = decltype(group_is_segment)::value;
      if constexpr (Codes::kHasMinimum) {
        if (m.offset == Offset::kMinimum) return with(Kind<Codes, kSegment, kGroupIsSegment, Offset::kMinimum>());
        if (m.offset == Offset::kZeroPoint) return with(Kind<Codes, kSegment, kGroupIsSegment, Offset::kZeroPoint>());
      }
      return with(Kind<Codes, kSegment, kGroupIsSegment, Offset::kSymmetric>());
    };
    const int segment = fragments::segment_inputs(m.cols, m.group);
    if (segment == 32) return with_offset(std::integral_constant<int, 32>(), std::true_type());
    if (segment == 16) return with_offset(std::integral_constant<int, 16>(), std::false_type());
    return m.group == 64 ? with_offset(std::integral_constant<int, 64>(), std::true_type())
                         : with_offset(std::integral_constant<int, 64>(), std::false_type());
  }
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
