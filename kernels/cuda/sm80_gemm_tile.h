// One m-tile of weights on its way from global memory to a warp's registers, k-tile by k-tile, and the mma of a k-tile.
// Codes are multiplied as integers that bf16 holds exactly; scale and minimum come in once per segment, in float32:
// y += scale * (codes . x) + minimum * (sum of x).
//
// Codes is what a format brings:
//   kBits                            4, 8 or 16
//   kScaled                          whether there are scales
//   kHasMinimum                      of scaled ones: whether there is a minimum to add, of any kind of offset, and
//   minimum(offset kind, scale, offset)
//   fragment(words, step, a)         a lane's A operand of mma.m16n8k16 from its words of a k-tile
//   value(code)                      the number that a code stands for, before its scale
//   kFlip                            of scaled ones: bits by which stored codes differ from exported ones
#pragma once

#include <type_traits>

#include "kernels/cuda/fragments.h"
#include "kernels/cuda/gemm_plan.h"
#include "kernels/cuda/matrix.h"
#include "kernels/cuda/primitives/copy.h"
#include "kernels/cuda/primitives/matrix.h"
#include "kernels/cuda/primitives/memory.h"
#include "kernels/cuda/primitives/numbers.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

using fragments::kLanes, fragments::kMTileRows, gemm::kNTileTokens;
using Offset = AffineGrid::Offset;

struct alignas(16) StepSums {  // of one token: its inputs added up, k-step by k-step of a k-tile
  float step[kTileSums];
};

// What a kernel knows of its matrix at compile time.
template <typename FormatCodes, int kSegmentInputs, bool kOneGroupASegment, Offset kKindOfOffset>
struct MatrixTraits {
  using Codes = FormatCodes;
  static constexpr int kSegment = kSegmentInputs, kSegments = kTileInputs / kSegment;
  static constexpr bool kGroupIsSegment = kOneGroupASegment;  // otherwise a group has several
  static constexpr Offset kOffset = kKindOfOffset;
  static constexpr int kCodeLoads = fragments::tile_loads(Codes::kBits);  // of 16 bytes, per lane and k-tile
  // 16-byte vectors of scales, for an m-tile and a group.
  static constexpr int kGroupVectors = Codes::kScaled ? 8 * fragments::scale_numbers(kOffset) * 2 / 16 : 0;
};

// One k-tile of one m-tile in shared memory: codes, then the scales of its segments.
template <typename Traits>
struct SharedWeights {
  Bytes16 vectors[Traits::kCodeLoads * kLanes + Traits::kSegments * Traits::kGroupVectors];

  HALFTONE_DEVICE Bytes16* scales() { return vectors + Traits::kCodeLoads * kLanes; }
  HALFTONE_DEVICE const uint16_t* scales(int segment) const {
    return reinterpret_cast<const uint16_t*>(vectors + Traits::kCodeLoads * kLanes + segment * Traits::kGroupVectors);
  }
};

// A warp's loads of weights: each next() copies one k-tile of an m-tile into a stage, beginning with k-tile `tile`.
template <typename Traits>
class WeightStream {
 public:
  HALFTONE_DEVICE WeightStream(const DeviceMatrix& m, int m_tile, int tile) : group_(m.group) {
    constexpr int kBlockMTiles = kBlockRows / kMTileRows;
    const int block = m_tile / kBlockMTiles, in_block = m_tile % kBlockMTiles;
    codes_ = m.codes + static_cast<uint64_t>(block) * m.block_codes +
             ((static_cast<int64_t>(in_block) * m.tiles + tile) * kTileVectors + lane()) * sizeof(Bytes16);
    if constexpr (Traits::Codes::kScaled) {
      const int input = tile * kTileInputs + lane() / Traits::kGroupVectors * Traits::kSegment, group = input / m.group;
      in_group_ = input - group * m.group;
      scales_ = m.scales + static_cast<uint64_t>(block) * m.block_scales +
                (static_cast<int64_t>(in_block) * fragments::stored_groups(m.tiles, m.group) + group) * kGroupBytes +
                lane() % Traits::kGroupVectors * sizeof(Bytes16);
    }
  }

  HALFTONE_DEVICE void next(SharedWeights<Traits>* to) {
    HALFTONE_UNROLL
    for (int load = 0; load < Traits::kCodeLoads; ++load) {
      cp_async_16(to->vectors + load * kLanes + lane(), codes_ + load * kLanes * sizeof(Bytes16));
    }
    codes_ += kTileVectors * sizeof(Bytes16);
    if (lane() < Traits::kSegments * Traits::kGroupVectors) {
      cp_async_16(to->scales() + lane(), scales_);
      pass_tile();
    }
  }

 private:
  static constexpr int kTileVectors = Traits::kCodeLoads * kLanes, kGroupBytes = Traits::kGroupVectors * 16;

  HALFTONE_DEVICE static int lane() { return static_cast<int>(threadIdx.x) % kLanes; }
  HALFTONE_DEVICE void pass_tile() {
    if constexpr (Traits::kGroupIsSegment) {
      scales_ += Traits::kSegments * kGroupBytes;
    } else {
      for (in_group_ += kTileInputs; in_group_ >= group_; in_group_ -= group_) scales_ += kGroupBytes;
    }
  }

  const std::byte *codes_ = nullptr, *scales_ = nullptr;  // this lane's next 16 bytes
  int group_, in_group_ = 0;
};

// A lane's weights of one k-tile, in registers.
template <typename Traits>
struct WeightFragment {
  uint32_t words[Traits::kCodeLoads * fragments::kLoadWords];
  uint32_t scales[Traits::kSegments], offsets[Traits::kSegments];  // two f16: of rows g and g + 8 (g = lane / 4)
};

template <typename Traits>
HALFTONE_DEVICE WeightFragment<Traits> load_fragment(const SharedWeights<Traits>& from) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  WeightFragment<Traits> out = {};
  HALFTONE_UNROLL
  for (int load = 0; load < Traits::kCodeLoads; ++load) {
    const Bytes16 words = load_shared(from.vectors + load * kLanes + lane);
    uint32_t* at = out.words + load * fragments::kLoadWords;
    at[0] = words.x, at[1] = words.y, at[2] = words.z, at[3] = words.w;
  }
  if constexpr (Traits::Codes::kScaled) {
    HALFTONE_UNROLL
    for (int segment = 0; segment < Traits::kSegments; ++segment) {
      const uint16_t* at = from.scales(segment) + lane / 4 * fragments::scale_numbers(Traits::kOffset);
      if constexpr (Traits::kOffset == Offset::kSymmetric) {
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
struct RowPair {
  float row[2];
};
HALFTONE_DEVICE RowPair f32_pair(uint32_t halves) {
  return {{f32_from_f16(static_cast<uint16_t>(halves)), f32_from_f16(static_cast<uint16_t>(halves >> 16))}};
}

template <typename Traits>
HALFTONE_DEVICE RowPair minimums(const RowPair& scale, uint32_t offsets) {
  const RowPair offset = Traits::kOffset == Offset::kSymmetric ? RowPair{} : f32_pair(offsets);
  return {{Traits::Codes::minimum(Traits::kOffset, scale.row[0], offset.row[0]),
           Traits::Codes::minimum(Traits::kOffset, scale.row[1], offset.row[1])}};
}

// Scales the dots of a segment into y, the accumulators of one m-tile and n-tile: rows g and g + 8 by tokens 2 t and
// 2 t + 1.
template <typename Traits>
HALFTONE_DEVICE void add_segment(const WeightFragment<Traits>& weights, int segment, const float (&sums)[2],
                                 const float (&dots)[4], float (&y)[4]) {
  if constexpr (!Traits::Codes::kScaled) {
    HALFTONE_UNROLL
    for (int i = 0; i < 4; ++i) y[i] = y[i] + dots[i];
  } else {
    const RowPair scale = f32_pair(weights.scales[segment]);
    HALFTONE_UNROLL
    for (int i = 0; i < 4; ++i) y[i] = fma(scale.row[i / 2], dots[i], y[i]);
    if constexpr (Traits::Codes::kHasMinimum) {
      const RowPair minimum = minimums<Traits>(scale, weights.offsets[segment]);
      HALFTONE_UNROLL
      for (int i = 0; i < 4; ++i) y[i] = fma(minimum.row[i / 2], sums[i % 2], y[i]);
    }
  }
}

// All mma of one k-tile, added to y: rows g and g + 8 (g = lane / 4) of each m-tile by tokens 2 t and 2 t + 1 (t = lane
// % 4) of each n-tile. Inputs: x(n, half), inputs 4 t to 4 t + 3 of two k-steps for token g of n-tile n; sums(n, 0) and
// sums(n, 1), those of tokens 2 t and 2 t + 1.
template <int kMTiles, int kNTiles, typename Traits, typename Inputs>
HALFTONE_DEVICE void mma_tile(const WeightFragment<Traits> (&weights)[kMTiles], const Inputs& inputs,
                              float (&y)[kMTiles][kNTiles][4]) {
  constexpr int kSteps = Traits::kSegment / fragments::kStepInputs, kSegmentSteps = Traits::kSegment / kSumInputs;
  HALFTONE_UNROLL
  for (int segment = 0; segment < Traits::kSegments; ++segment) {
    float dots[kMTiles][kNTiles][4] = {};
    HALFTONE_UNROLL
    for (int step = segment * kSteps; step < (segment + 1) * kSteps; ++step) {
      uint32_t a[kMTiles][4];
      HALFTONE_UNROLL
      for (int m = 0; m < kMTiles; ++m) Traits::Codes::fragment(weights[m].words, step, a[m]);
      HALFTONE_UNROLL
      for (int n = 0; n < kNTiles; ++n) {
        const Bytes16 two = inputs.x(n, step / 2);
        const uint32_t b[2] = {step % 2 == 0 ? two.x : two.z, step % 2 == 0 ? two.y : two.w};
        HALFTONE_UNROLL
        for (int m = 0; m < kMTiles; ++m) mma_bf16_16816(dots[m][n], a[m], b);
      }
    }
    HALFTONE_UNROLL
    for (int n = 0; n < kNTiles; ++n) {
      float sum[2] = {};
      if constexpr (Traits::Codes::kHasMinimum) {
        HALFTONE_UNROLL
        for (int i = 0; i < 2; ++i) {
          const StepSums sums = inputs.sums(n, i);
          sum[i] = sums.step[segment * kSegmentSteps];
          HALFTONE_UNROLL
          for (int next = 1; next < kSegmentSteps; ++next) sum[i] = sum[i] + sums.step[segment * kSegmentSteps + next];
        }
      }
      HALFTONE_UNROLL
      for (int m = 0; m < kMTiles; ++m) add_segment(weights[m], segment, sum, dots[m][n], y[m][n]);
    }
  }
}

// The first k-tile of k-split `split`: an even number; split == k_splits gives the end.
HALFTONE_HOST_DEVICE int k_split_begin(int split, int tiles, int k_splits) {
  return split == k_splits ? tiles : split * (tiles / 2) / k_splits * 2;
}

// Calls with(MatrixTraits<...>()) for the matrix.
template <typename Codes, typename With>
cudaError_t with_traits(const DeviceMatrix& m, const With& with) {
  if constexpr (!Codes::kScaled) {
    return with(MatrixTraits<Codes, 64, false, Offset::kSymmetric>());
  } else {
    auto with_offset = [&](auto length, auto group_is_segment) {
      constexpr int kSegment = decltype(length)::value;
      constexpr bool kGroupIsSegment = decltype(group_is_segment)::value;
      if constexpr (Codes::kHasMinimum) {
        if (m.offset == Offset::kMinimum)
          return with(MatrixTraits<Codes, kSegment, kGroupIsSegment, Offset::kMinimum>());
        if (m.offset == Offset::kZeroPoint)
          return with(MatrixTraits<Codes, kSegment, kGroupIsSegment, Offset::kZeroPoint>());
      }
      return with(MatrixTraits<Codes, kSegment, kGroupIsSegment, Offset::kSymmetric>());
    };
    const int segment = fragments::segment_inputs(m.cols, m.group);
    if (segment == 32) return with_offset(std::integral_constant<int, 32>(), std::true_type());
    if (segment == 16) return with_offset(std::integral_constant<int, 16>(), std::false_type());
    return m.group == 64 ? with_offset(std::integral_constant<int, 64>(), std::true_type())
                         : with_offset(std::integral_constant<int, 64>(), std::false_type());
  }
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
