// w4 for up to 16 tokens: a warp for each piece of the inputs of each strip of 16 rows. Its weights arrive in shared
// memory by asynchronous copies, kStages tiles deep; activations are few and come out of the caches, a tile ahead. A warp
// waits for nobody until the pieces are added up. Bound: the weights' bytes.
#include "kernels/cuda/primitives/barriers.h"
#include "kernels/cuda/primitives/copy.h"
#include "kernels/weights/w4/w4_cuda.h"
#include "kernels/weights/w4/w4_tile.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

using namespace w4_tile;

constexpr int kThreadsMost = kLanes * w4::kPiecesMost;
constexpr int kStages = 6;
// One tile of some eights of tokens, in registers.
template <int kColumns>
struct Inputs {
  Bytes8 values[kColumns][kTileSteps];
  Sums units[kColumns][2];

  HALFTONE_DEVICE Bytes8 x(int n, int step) const { return values[n][step]; }
  HALFTONE_DEVICE Sums sums(int n, int i) const { return units[n][i]; }
};

// Walks the tiles. Tokens that are not there read as others that are; nobody stores them.
template <int kColumns>
class InputStream {
 public:
  HALFTONE_DEVICE InputStream(const Prepared& x, int tile) : tile_sums_(x.tokens_stride) {
    const int lane = static_cast<int>(threadIdx.x) % kLanes;
    HALFTONE_UNROLL
    for (int n = 0; n < kColumns; ++n) {
      const int token = existing(n * kTokenColumns + lane / 4, x);
      x_[n] = x.x + static_cast<int64_t>(token) * x.stride + tile * kTileInputs + lane % 4 * w4::kLaneInputs;
      HALFTONE_UNROLL
      for (int i = 0; i < 2; ++i) {
        sums_[n][i] = reinterpret_cast<const Sums*>(x.sums) + static_cast<int64_t>(tile) * tile_sums_ +
                      existing(n * kTokenColumns + lane % 4 * 2 + i, x);
      }
    }
  }
  HALFTONE_DEVICE void next(Inputs<kColumns>* out) {
    HALFTONE_UNROLL
    for (int n = 0; n < kColumns; ++n) {
      HALFTONE_UNROLL
      for (int step = 0; step < kTileSteps; ++step) {
        out->values[n][step] = *reinterpret_cast<const Bytes8*>(x_[n] + step * w4::kStepInputs);
      }
      x_[n] += kTileInputs;
      HALFTONE_UNROLL
      for (int i = 0; i < 2; ++i) {
        out->units[n][i] = *sums_[n][i];
        sums_[n][i] += tile_sums_;
      }
    }
  }

 private:
  HALFTONE_DEVICE static int existing(int token, const Prepared& x) { return token < x.tokens ? token : 0; }

  const uint16_t* x_[kColumns];
  const Sums* sums_[kColumns][2];
  int tile_sums_;
};

// What a warp adds up over its piece.
template <int kColumns, typename Kind>
HALFTONE_DEVICE void add_piece(const Product& p, int strip, int piece, Slot<Kind>* slots, float (*y)[4]) {
  const int first = piece_begin(piece, p.weights.tiles, p.pieces);
  const int count = piece_begin(piece + 1, p.weights.tiles, p.pieces) - first;
  WeightStream<Kind> stream(p.weights, strip, first);
  InputStream<kColumns> x(p.x, first);
  int to = 0;
  auto load = [&](int tile) {
    if (tile < count) stream.next(slots + to);
    cp_async_commit();
    to = to + 1 == kStages ? 0 : to + 1;
  };
  for (int tile = 0; tile < kStages - 1; ++tile) load(tile);
  Inputs<kColumns> ahead;
  x.next(&ahead);
  for (int tile = 0, from = 0; tile < count; ++tile) {
    const Inputs<kColumns> inputs = ahead;
    if (tile + 1 < count) x.next(&ahead);
    cp_async_wait<kStages - 2>();
    warp_barrier();  // the tile is there for all lanes, and none reads any longer what the next load overwrites
    load(tile + kStages - 1);
    add_tile<kColumns>(read_slot(slots[from]), inputs, y);
    from = from + 1 == kStages ? 0 : from + 1;
  }
}

// Grid: blocks of some strips, all pieces of each.
template <int kColumns, typename Kind>
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreadsMost, kColumns == 1 ? 3 : 2) w4_decode(Product p, int strips) {
  constexpr int kOutputs = w4::kStripRows * kColumns * kTokenColumns;
  const int lane = static_cast<int>(threadIdx.x) % kLanes, warp = static_cast<int>(threadIdx.x) / kLanes;
  const int warps = static_cast<int>(blockDim.x) / kLanes, first_strip = static_cast<int>(blockIdx.x) * strips;
  auto* slots = dynamic_shared<Slot<Kind>>();                    // [warps][stages]
  auto* sums = reinterpret_cast<float*>(slots + warps * kStages);  // [strips][pieces][tokens][16 rows]
  float y[kColumns][4] = {};
  add_piece<kColumns, Kind>(p, first_strip + warp / p.pieces, warp % p.pieces, slots + warp * kStages, y);
  HALFTONE_UNROLL
  for (int n = 0; n < kColumns; ++n) {
    HALFTONE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int row = i / 2 * 8 + lane / 4, token = n * kTokenColumns + lane % 4 * 2 + i % 2;
      sums[warp * kOutputs + token * w4::kStripRows + row] = y[n][i];
    }
  }
  block_barrier();
  for (int i = static_cast<int>(threadIdx.x); i < strips * kOutputs; i += static_cast<int>(blockDim.x)) {
    const int strip = i / kOutputs, at = i % kOutputs;
    const int row = (first_strip + strip) * w4::kStripRows + at % w4::kStripRows, token = at / w4::kStripRows;
    if (row >= p.weights.rows || token >= p.x.tokens) continue;
    const float* piece = sums + strip * p.pieces * kOutputs + at;
    float sum = *piece;
    for (int one = 1; one < p.pieces; ++one) sum = sum + piece[one * kOutputs];
    p.out[static_cast<int64_t>(token) * p.out_stride + row] = sum;
  }
}

}  // namespace

cudaError_t multiply_w4_decode(const Product& p, cudaStream_t stream) {
  const w4::DecodePlan plan = w4::plan_decode(p.weights.row_blocks(), p.x.tokens, p.pieces);
  const size_t warps = static_cast<size_t>(plan.warps);
  const size_t outputs = static_cast<size_t>(w4::kStripRows * plan.columns * kTokenColumns) * sizeof(float);
  return with_kind(p.weights, [&](auto kind) {
    using Kind = decltype(kind);
    const LaunchShape shape{dim3(static_cast<unsigned>(plan.blocks)), dim3(static_cast<unsigned>(plan.warps * kLanes)),
                            warps * (kStages * sizeof(Slot<Kind>) + outputs), stream};
    return plan.columns == 1 ? launch(w4_decode<1, Kind>, shape, p, plan.strips)
                             : launch(w4_decode<2, Kind>, shape, p, plan.strips);
  });
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
