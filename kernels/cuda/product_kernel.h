// A product on tensor cores: a block of four warps for 64 rows, four strips of 16, and 8 to 64 tokens. Weights and
// activations arrive in shared memory by asynchronous copies, some tiles deep; each serves all warps that want it.
// Bound: the weights' bytes for few tokens, then the tensor cores.
#pragma once

#include <algorithm>

#include "kernels/cuda/primitives/barriers.h"
#include "kernels/cuda/primitives/overlap.h"
#include "kernels/cuda/product_tile.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

constexpr int kProductWarps = kBlockRows / kStripRows;
constexpr int kProductThreads = kProductWarps * kLanes;
constexpr int kStageTiles = 2;  // between two barriers, so that one tile's latencies hide the other's

// Some eights of tokens' side of a tile, as prepare() lays them out: x, then the sums where a format wants them.
template <int kColumns, bool kSums>
struct TokenStage {
  Bytes16 chunks[kColumns * (kTokenBlockChunks + (kSums ? kTokenColumns : 0))];

  HALFTONE_DEVICE Bytes16* sums() { return chunks + kColumns * kTokenBlockChunks; }
  HALFTONE_DEVICE const Sums* sums() const {
    return reinterpret_cast<const Sums*>(chunks + kColumns * kTokenBlockChunks);
  }
};
template <int kColumns, typename Kind>
struct Stage {
  Slot<Kind> weights[kStageTiles][kProductWarps];
  TokenStage<kColumns, Kind::Codes::kHasMinimum> tokens[kStageTiles];
};

// Stages: what a block may have of any card since sm_80 holds them. Blocks of a processor that have room for them.
template <int kColumns, typename Kind>
constexpr int kStages = std::clamp<int>(96 * 1024 / sizeof(Stage<kColumns, Kind>), 2, kColumns <= 2 ? 4 : 3);
template <int kColumns>
[[maybe_unused]] constexpr int kProductBlocks = kColumns == 1   ? 5
                                                : kColumns == 2 ? 4
                                                : kColumns == 4 ? 3
                                                                : 2;

// Copies a block's tokens into stages, from one tile on. Tokens that are not there become zeros.
template <int kColumns, bool kSums>
class TokenStream {
 public:
  HALFTONE_DEVICE TokenStream(const Prepared& x, int first_token, int tile) {
    const int first_block = first_token / kTokenColumns;
    const int64_t at = static_cast<int64_t>(first_block + thread() / kTokenBlockChunks) * x.tiles + tile;
    x_ = reinterpret_cast<const Bytes16*>(x.x) + at * kTokenBlockChunks + thread() % kTokenBlockChunks;
    turn_ = static_cast<int64_t>(kBlocksATurn) * x.tiles * kTokenBlockChunks;
    x_left_ = x.tokens - first_token - thread() / kTokenBlockChunks * kTokenColumns - thread() % kLanes / 4;
    const int64_t sum = static_cast<int64_t>(first_block + thread() / kTokenColumns) * x.tiles + tile;
    sums_ = reinterpret_cast<const Sums*>(x.sums) + sum * kTokenColumns + thread() % kTokenColumns;
    sums_left_ = x.tokens - first_token - thread();
  }

  HALFTONE_DEVICE void next(TokenStage<kColumns, kSums>* stage) {
    if (kColumns > 1 || thread() < kTokenBlockChunks) {
      HALFTONE_UNROLL
      for (int turn = 0; turn < kTurns; ++turn) {
        // A chunk holds inputs of one token.
        cp_async_16(stage->chunks + thread() + turn * kProductThreads, x_ + turn * turn_,
                    x_left_ > turn * kBlocksATurn * kTokenColumns);
      }
      x_ += kTokenBlockChunks;
    }
    if (kSums && thread() < kColumns * kTokenColumns) {
      cp_async_16(stage->sums() + thread(), sums_, sums_left_ > 0);
      sums_ += kTokenColumns;
    }
  }

 private:
  static constexpr int kBlocksATurn = kProductThreads / kTokenBlockChunks;  // eights of tokens
  static constexpr int kTurns = (kColumns + kBlocksATurn - 1) / kBlocksATurn;

  HALFTONE_DEVICE static int thread() { return static_cast<int>(threadIdx.x); }

  const Bytes16* x_;
  const Sums* sums_;
  int64_t turn_;
  int x_left_, sums_left_;  // tokens from this thread's on
};

// One lane's view of a stage, from one eight of tokens on.
template <int kColumns, bool kSums>
struct Inputs {
  const TokenStage<kColumns, kSums>& stage;
  int first;

  HALFTONE_DEVICE Bytes16 x(int n, int half) const {
    const int lane = static_cast<int>(threadIdx.x) % kLanes;
    return load_shared(stage.chunks + (first + n) * kTokenBlockChunks + half * kLanes + lane);
  }
  HALFTONE_DEVICE Sums sums(int n, int i) const {
    return load_shared(stage.sums() + (first + n) * kTokenColumns + static_cast<int>(threadIdx.x) % 4 * 2 + i);
  }
};

// Pieces that one block walks, one after the other; what is complete is added up in ascending order.
template <int kStrips, int kColumns>
struct Totals {
  float all[kStrips][kColumns][4] = {}, piece[kStrips][kColumns][4] = {};
  bool is_first = true;

  HALFTONE_DEVICE void end_piece() {
    HALFTONE_UNROLL
    for (int s = 0; s < kStrips; ++s) {
      HALFTONE_UNROLL
      for (int n = 0; n < kColumns; ++n) {
        HALFTONE_UNROLL
        for (int i = 0; i < 4; ++i) {
          all[s][n][i] = is_first ? piece[s][n][i] : all[s][n][i] + piece[s][n][i];
          piece[s][n][i] = 0;
        }
      }
    }
    is_first = false;
  }
};

// The matrix that a block of rows belongs to, its number there, and where the matrix' rows begin among all.
struct BlockPlace {
  DeviceMatrix matrix;
  int block, first_row;
};
HALFTONE_DEVICE BlockPlace place_of_block(const Product& p, int block) {
  BlockPlace place{p.weights[0], block, 0};
  HALFTONE_UNROLL
  for (int i = 1; i < kJoinedMost; ++i) {
    const int before = p.weights[i - 1].row_blocks();
    if (i >= p.matrices || block < before) break;
    block -= before;
    place = {p.weights[i], block, place.first_row + p.weights[i - 1].rows};
  }
  return place;
}

// y: as add_tile() makes it, of a strip.
template <int kColumns>
HALFTONE_DEVICE void store_outputs(const Product& p, const BlockPlace& place, int strip, int first_token,
                                   const float (&y)[kColumns][4]) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  float* out = p.out + static_cast<int64_t>(blockIdx.z) * p.part_stride + place.first_row;
  HALFTONE_UNROLL
  for (int n = 0; n < kColumns; ++n) {
    HALFTONE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int row = place.block * kBlockRows + strip * kStripRows + i / 2 * 8 + lane / 4;
      const int token = first_token + n * kTokenColumns + lane % 4 * 2 + i % 2;
      if (row < place.matrix.rows && token < p.x.tokens) {
        out[static_cast<int64_t>(token) * p.out_stride + row] = y[n][i];
      }
    }
  }
}

// A warp multiplies kStrips strips, by all of the block's tokens or, where warps share strips, by its part of them.
// Grid: (blocks of rows of all matrices, blocks of tokens, parts of the inputs: each piece, or all of them).
template <int kColumns, int kStrips, typename Kind>
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kProductThreads, kProductBlocks<kColumns>) product_kernel(Product p) {
  constexpr int kDepth = kStages<kColumns, Kind>, kAhead = kDepth - 1, kWarpColumns = kColumns / kStrips;
  auto* stages = dynamic_shared<Stage<kColumns, Kind>>();
  const BlockPlace place = place_of_block(p, static_cast<int>(blockIdx.x));
  const int warp = static_cast<int>(threadIdx.x) / kLanes, tiles = p.x.tiles;
  const int first_strip = warp % (kProductWarps / kStrips) * kStrips;
  const int first_column = warp / (kProductWarps / kStrips) * kWarpColumns;
  const int first_token = static_cast<int>(blockIdx.y) * kColumns * kTokenColumns;
  const int pieces_here = p.pieces / static_cast<int>(gridDim.z);
  int piece = static_cast<int>(blockIdx.z) * pieces_here;
  const int first = piece_begin(piece, tiles, p.pieces), end = piece_begin(piece + pieces_here, tiles, p.pieces);
  Totals<kStrips, kWarpColumns> totals;
  WeightStream<Kind> weights(place.matrix, place.block * kProductWarps + warp, first);
  TokenStream<kColumns, Kind::Codes::kHasMinimum> x(p.x, first_token, first);
  auto load_weights = [&](int tile, int stage) {
    if (tile < end) weights.next(&stages[stage].weights[0][warp]);
    if (tile + 1 < end) weights.next(&stages[stage].weights[1][warp]);
  };
  auto load_x = [&](int tile, int stage) {
    if (tile < end) x.next(&stages[stage].tokens[0]);
    if (tile + 1 < end) x.next(&stages[stage].tokens[1]);
    cp_async_commit();
  };
  auto multiply = [&](int stage, int i) {
    const Inputs<kColumns, Kind::Codes::kHasMinimum> inputs{stages[stage].tokens[i], first_column};
    Weights<Kind> strips[kStrips];
    HALFTONE_UNROLL
    for (int s = 0; s < kStrips; ++s) strips[s] = read_slot(stages[stage].weights[i][first_strip + s]);
    add_tile(strips, inputs, totals.piece);
  };
  let_next_begin();
  HALFTONE_UNROLL
  for (int i = 0; i < kAhead; ++i) load_weights(first + i * kStageTiles, i);
  wait_for_earlier();
  HALFTONE_UNROLL
  for (int i = 0; i < kAhead; ++i) load_x(first + i * kStageTiles, i);
  int piece_end = piece_begin(piece + 1, tiles, p.pieces), here = 0, to = kAhead;
  for (int tile = first; tile < end; tile += kStageTiles) {
    cp_async_wait<kAhead - 1>();
    block_barrier();  // the stage is there for all, and nobody reads any longer what the next loads overwrite
    const int next = tile + kAhead * kStageTiles;
    if (next + 1 < end) {
      weights.next(&stages[to].weights[0][warp]);
      weights.next(&stages[to].weights[1][warp]);
      x.next(&stages[to].tokens[0]);
      x.next(&stages[to].tokens[1]);
      cp_async_commit();
    } else {
      load_weights(next, to);
      load_x(next, to);
    }
    if (tile + 1 < end) {  // both in one run of instructions, so that they hide each other's latencies
      multiply(here, 0);
      multiply(here, 1);
    } else {
      multiply(here, 0);
    }
    to = here;
    here = here + 1 == kDepth ? 0 : here + 1;
    if (tile + kStageTiles < piece_end) continue;
    totals.end_piece();
    piece_end = piece_begin(++piece + 1, tiles, p.pieces);
  }
  HALFTONE_UNROLL
  for (int s = 0; s < kStrips; ++s) {
    store_outputs(p, place, first_strip + s, first_token + first_column * kTokenColumns, totals.all[s]);
  }
}

template <typename Codes, int kColumns, int kStrips = 1>
cudaError_t launch_product(const Product& p, const product::Plan& plan, cudaStream_t stream) {
  LaunchShape shape{dim3(static_cast<unsigned>(plan.row_blocks), static_cast<unsigned>(plan.token_blocks),
                         static_cast<unsigned>(plan.parts)),
                    dim3(kProductThreads), 0, stream, true};
  return with_kind<Codes>(p.weights[0], [&](auto kind) {
    using Kind = decltype(kind);
    shape.shared_bytes = kStages<kColumns, Kind> * sizeof(Stage<kColumns, Kind>);
    return launch(product_kernel<kColumns, kStrips, Kind>, shape, p);
  });
}

// A strip for each warp.
template <typename Codes>
cudaError_t multiply_strips(const Product& p, const product::Plan& plan, cudaStream_t stream) {
  if (plan.columns == 1) return launch_product<Codes, 1>(p, plan, stream);
  if (plan.columns == 2) return launch_product<Codes, 2>(p, plan, stream);
  return plan.columns == 4 ? launch_product<Codes, 4>(p, plan, stream) : launch_product<Codes, 8>(p, plan, stream);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
