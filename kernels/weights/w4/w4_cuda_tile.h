// What the w4 products share: a strip's weights on their way from memory to a warp's registers, tile after tile, and
// their product with some eights of tokens. The codes are multiplied as integers that bf16 holds exactly; scale and
// minimum come in once per segment, in float32: y += scale * (codes . x) + minimum * (sum of x).
#pragma once

#include <type_traits>

#include "kernels/cuda/matrix.h"
#include "kernels/cuda/primitives/copy.h"
#include "kernels/cuda/primitives/matrix.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/numbers.h"
#include "kernels/weights/w4/w4_cuda_layout.h"
#include "kernels/weights/w4/w4_cuda_plan.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE::w4_tile {

using w4::kLanes, w4::kTileSteps, w4::kTokenColumns;
using Offset = AffineGrid::Offset;

struct alignas(16) Sums {
  float unit[kTileSums];
};

// What of a matrix is a constant of a kernel.
template <int kSegmentInputs, bool kOneGroupASegment, Offset kKindOfOffset>
struct Kind {
  static constexpr int kSegment = kSegmentInputs, kSegments = kTileInputs / kSegment;
  static constexpr bool kGroupIsSegment = kOneGroupASegment;  // otherwise a group has several
  static constexpr Offset kOffset = kKindOfOffset;
  static constexpr int kGroupNumbers = 8 * w4::scale_numbers(kOffset);
};

// A strip's side of one tile, in shared memory.
template <typename Kind>
struct alignas(16) Slot {
  Bytes16 codes[kLanes];
  uint16_t scales[Kind::kSegments][Kind::kGroupNumbers];
};

// Copies a strip's tiles into slots, from one tile on: one warp, asynchronously.
template <typename Kind>
class WeightStream {
 public:
  HALFTONE_DEVICE WeightStream(const DeviceMatrix& m, int strip, int tile) : group_(m.group) {
    constexpr int kStrips = kBlockRows / w4::kStripRows;
    const int block = strip / kStrips, in_block = strip % kStrips;
    codes_ = m.codes + static_cast<uint64_t>(block) * m.block_codes +
             ((static_cast<int64_t>(in_block) * m.tiles + tile) * kLanes + lane()) * sizeof(Bytes16);
    const int input = tile * kTileInputs + lane() / kGroupChunks * Kind::kSegment, group = input / m.group;
    in_group_ = input - group * m.group;
    scales_ = m.scales + static_cast<uint64_t>(block) * m.block_scales +
              (static_cast<int64_t>(in_block) * w4::stored_groups(m.tiles, m.group) + group) * kGroupBytes +
              lane() % kGroupChunks * sizeof(Bytes16);
  }

  HALFTONE_DEVICE void next(Slot<Kind>* slot) {
    cp_async_16(slot->codes + lane(), codes_);
    codes_ += kLanes * sizeof(Bytes16);
    if (lane() < Kind::kSegments * kGroupChunks) {
      cp_async_16(reinterpret_cast<Bytes16*>(slot->scales) + lane(), scales_);
      pass_tile();
    }
  }

 private:
  static constexpr int kGroupBytes = Kind::kGroupNumbers * 2, kGroupChunks = kGroupBytes / 16;

  HALFTONE_DEVICE static int lane() { return static_cast<int>(threadIdx.x) % kLanes; }
  HALFTONE_DEVICE void pass_tile() {
    if constexpr (Kind::kGroupIsSegment) {
      scales_ += Kind::kSegments * kGroupBytes;
    } else {
      for (in_group_ += kTileInputs; in_group_ >= group_; in_group_ -= group_) scales_ += kGroupBytes;
    }
  }

  const std::byte *codes_, *scales_;  // this lane's next 16 bytes
  int group_, in_group_;
};

// One lane's.
template <typename Kind>
struct Weights {
  uint32_t words[kTileSteps];
  uint32_t scales[Kind::kSegments], offsets[Kind::kSegments];  // two f16: of rows g and g + 8 (g = lane / 4)
};

template <typename Kind>
HALFTONE_DEVICE Weights<Kind> read_slot(const Slot<Kind>& slot) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const Bytes16 words = load_shared(slot.codes + lane);
  Weights<Kind> out{{words.x, words.y, words.z, words.w}, {}, {}};
  HALFTONE_UNROLL
  for (int segment = 0; segment < Kind::kSegments; ++segment) {
    const uint16_t* at = slot.scales[segment] + lane / 4 * w4::scale_numbers(Kind::kOffset);
    if constexpr (Kind::kOffset == Offset::kSymmetric) {
      out.scales[segment] = load_shared(reinterpret_cast<const uint32_t*>(at));
    } else {
      const Bytes8 both = load_shared(reinterpret_cast<const Bytes8*>(at));
      out.scales[segment] = both.x, out.offsets[segment] = both.y;
    }
  }
  return out;
}

// Two codes, one in each half of the word, as bf16 numbers: 128 + code has the code as its last mantissa bits.
HALFTONE_DEVICE uint32_t codes_as_bf16(uint32_t word) {
  constexpr uint32_t k128 = 0x43004300u, kOne = 0x3f803f80u, kMinus128 = 0xc300c300u;
  return bf16x2_fma(and_or(word, 0x000f000fu, k128), kOne, kMinus128);
}

// Rows g and g + 8.
struct Pair {
  float row[2];
};
HALFTONE_DEVICE Pair f32_pair(uint32_t halves) {
  return {{f32_from_f16(static_cast<uint16_t>(halves)), f32_from_f16(static_cast<uint16_t>(halves >> 16))}};
}

HALFTONE_DEVICE float minimum_of(Offset kind, float scale, float offset) {
  if (kind == Offset::kSymmetric) return scale * -8.0f;
  return kind == Offset::kMinimum ? offset : scale * -offset;
}

// y: rows g and g + 8 (g = lane / 4) of the strip by tokens 2 t and 2 t + 1 (t = lane % 4) of each eight. Inputs:
// x(n, half), inputs 4 t to 4 t + 3 of two steps for token g of eight n; sums(n, 0) and sums(n, 1) of its tokens.
template <int kColumns, typename Kind, typename Inputs>
HALFTONE_DEVICE void add_tile(const Weights<Kind>& weights, const Inputs& inputs, float (*y)[4]) {
  constexpr int kSteps = Kind::kSegment / w4::kStepInputs, kSegmentUnits = Kind::kSegment / kSumInputs;
  HALFTONE_UNROLL
  for (int segment = 0; segment < Kind::kSegments; ++segment) {
    float dots[kColumns][4] = {};
    HALFTONE_UNROLL
    for (int step = segment * kSteps; step < (segment + 1) * kSteps; ++step) {
      const uint32_t word = weights.words[step];
      const uint32_t a[4] = {codes_as_bf16(word), codes_as_bf16(word >> 4), codes_as_bf16(word >> 8),
                             codes_as_bf16(word >> 12)};
      HALFTONE_UNROLL
      for (int n = 0; n < kColumns; ++n) {
        const Bytes16 two = inputs.x(n, step / 2);
        const uint32_t b[2] = {step % 2 == 0 ? two.x : two.z, step % 2 == 0 ? two.y : two.w};
        mma_bf16_16816(dots[n], a, b);
      }
    }
    const Pair scale = f32_pair(weights.scales[segment]);
    const Pair offset = Kind::kOffset == Offset::kSymmetric ? Pair{} : f32_pair(weights.offsets[segment]);
    const float minimum[2] = {minimum_of(Kind::kOffset, scale.row[0], offset.row[0]),
                              minimum_of(Kind::kOffset, scale.row[1], offset.row[1])};
    HALFTONE_UNROLL
    for (int n = 0; n < kColumns; ++n) {
      HALFTONE_UNROLL
      for (int i = 0; i < 2; ++i) {
        const Sums sums = inputs.sums(n, i);
        float sum = sums.unit[segment * kSegmentUnits];
        HALFTONE_UNROLL
        for (int unit = 1; unit < kSegmentUnits; ++unit) sum = sum + sums.unit[segment * kSegmentUnits + unit];
        HALFTONE_UNROLL
        for (int half = 0; half < 2; ++half) {
          float& out = y[n][half * 2 + i];
          out = fma(minimum[half], sum, fma(scale.row[half], dots[n][half * 2 + i], out));
        }
      }
    }
  }
}

// Where piece `piece` of `pieces` begins: an even tile; the last one ends with the tiles.
HALFTONE_HOST_DEVICE int piece_begin(int piece, int tiles, int pieces) {
  return piece == pieces ? tiles : piece * (tiles / 2) / pieces * 2;
}

// Runs with(Kind()) for the matrix' kind.
template <typename With>
cudaError_t with_kind(const DeviceMatrix& m, const With& with) {
  const int segment = w4::segment_inputs({m.rows, m.cols, m.group, m.offset});
  auto with_offset = [&](auto length, auto group_is_segment) {
    constexpr int kSegment = decltype(length)::value;
    constexpr bool kGroupIsSegment = decltype(group_is_segment)::value;
    if (m.offset == Offset::kSymmetric) return with(Kind<kSegment, kGroupIsSegment, Offset::kSymmetric>());
    return m.offset == Offset::kMinimum ? with(Kind<kSegment, kGroupIsSegment, Offset::kMinimum>())
                                        : with(Kind<kSegment, kGroupIsSegment, Offset::kZeroPoint>());
  };
  if (segment == 32) return with_offset(std::integral_constant<int, 32>(), std::true_type());
  if (segment == 16) return with_offset(std::integral_constant<int, 16>(), std::false_type());
  return m.group == 64 ? with_offset(std::integral_constant<int, 64>(), std::true_type())
                       : with_offset(std::integral_constant<int, 64>(), std::false_type());
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE::w4_tile
