// w4 on tensor cores: a block of four warps, each with a strip of 16 rows, for 64 rows and 8 to 64 tokens. Weights and
// activations arrive in shared memory by asynchronous copies, some tiles deep; activations serve all four warps. Bound:
// the weights' bytes up to some 50 tokens, then the tensor cores.
#include "kernels/cuda/primitives/barriers.h"
#include "kernels/cuda/primitives/copy.h"
#include "kernels/cuda/primitives/overlap.h"
#include "kernels/weights/w4/w4_cuda.h"
#include "kernels/weights/w4/w4_cuda_tile.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

using namespace w4_tile;

constexpr int kWarps = kBlockRows / w4::kStripRows;
constexpr int kThreads = kWarps * kLanes;
constexpr int kStageTiles = 2;  // between two barriers, so that one tile's latencies hide the other's
// Stages, and blocks of a processor that have room for them.
template <int kColumns>
constexpr int kStages = kColumns <= 2 ? 4 : 3;
template <int kColumns>
[[maybe_unused]] constexpr int kBlocks = kColumns == 1   ? 5
                                         : kColumns == 2 ? 4
                                         : kColumns == 4 ? 3
                                                         : 2;

// Some eights of tokens' side of a tile, as prepare() lays them out.
template <int kColumns>
struct TokenStage {
  Bytes16 x[kColumns * kTokenBlockChunks];
  Sums sums[kColumns * kTokenColumns];
};
template <int kColumns, typename Kind>
struct Stage {
  Slot<Kind> weights[kStageTiles][kWarps];
  TokenStage<kColumns> tokens[kStageTiles];
};

// Copies a block's tokens into stages, from one tile on. Tokens that are not there become zeros.
template <int kColumns>
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

  HALFTONE_DEVICE void next(TokenStage<kColumns>* stage) {
    if (kColumns > 1 || thread() < kTokenBlockChunks) {
      HALFTONE_UNROLL
      for (int turn = 0; turn < kTurns; ++turn) {
        // A chunk holds inputs of one token.
        cp_async_16(stage->x + thread() + turn * kThreads, x_ + turn * turn_,
                    x_left_ > turn * kBlocksATurn * kTokenColumns);
      }
      x_ += kTokenBlockChunks;
    }
    if (thread() < kColumns * kTokenColumns) {
      cp_async_16(stage->sums + thread(), sums_, sums_left_ > 0);
      sums_ += kTokenColumns;
    }
  }

 private:
  static constexpr int kBlocksATurn = kThreads / kTokenBlockChunks;  // eights of tokens
  static constexpr int kTurns = (kColumns + kBlocksATurn - 1) / kBlocksATurn;

  HALFTONE_DEVICE static int thread() { return static_cast<int>(threadIdx.x); }

  const Bytes16* x_;
  const Sums* sums_;
  int64_t turn_;
  int x_left_, sums_left_;  // tokens from this thread's on
};

// One lane's view of a stage.
template <int kColumns>
struct Inputs {
  const TokenStage<kColumns>& stage;

  HALFTONE_DEVICE Bytes16 x(int n, int half) const {
    return load_shared(stage.x + n * kTokenBlockChunks + half * kLanes + static_cast<int>(threadIdx.x) % kLanes);
  }
  HALFTONE_DEVICE Sums sums(int n, int i) const {
    return load_shared(stage.sums + n * kTokenColumns + static_cast<int>(threadIdx.x) % 4 * 2 + i);
  }
};

// Pieces that one block walks, one after the other; what is complete is added up in ascending order.
template <int kColumns>
struct Totals {
  float all[kColumns][4] = {}, piece[kColumns][4] = {};
  bool is_first = true;

  HALFTONE_DEVICE void end_piece() {
    HALFTONE_UNROLL
    for (int n = 0; n < kColumns; ++n) {
      HALFTONE_UNROLL
      for (int i = 0; i < 4; ++i) {
        all[n][i] = is_first ? piece[n][i] : all[n][i] + piece[n][i];
        piece[n][i] = 0;
      }
    }
    is_first = false;
  }
};

template <int kColumns>
HALFTONE_DEVICE void store_outputs(const Product& p, int first_token, const float (*y)[4]) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes, warp = static_cast<int>(threadIdx.x) / kLanes;
  float* out = p.out + static_cast<int64_t>(blockIdx.z) * p.part_stride;
  HALFTONE_UNROLL
  for (int n = 0; n < kColumns; ++n) {
    HALFTONE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int row = static_cast<int>(blockIdx.x) * kBlockRows + warp * w4::kStripRows + i / 2 * 8 + lane / 4;
      const int token = first_token + n * kTokenColumns + lane % 4 * 2 + i % 2;
      if (row < p.weights.rows && token < p.x.tokens) out[static_cast<int64_t>(token) * p.out_stride + row] = y[n][i];
    }
  }
}

// Grid: (blocks of rows, blocks of tokens, parts of the inputs: each piece, or all of them).
template <int kColumns, typename Kind>
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, kBlocks<kColumns>) w4_product(Product p) {
  constexpr int kDepth = kStages<kColumns>, kAhead = kDepth - 1;
  auto* stages = dynamic_shared<Stage<kColumns, Kind>>();
  const int warp = static_cast<int>(threadIdx.x) / kLanes, tiles = p.weights.tiles;
  const int first_token = static_cast<int>(blockIdx.y) * kColumns * kTokenColumns;
  const int pieces_here = p.pieces / static_cast<int>(gridDim.z);
  int piece = static_cast<int>(blockIdx.z) * pieces_here;
  const int first = piece_begin(piece, tiles, p.pieces), end = piece_begin(piece + pieces_here, tiles, p.pieces);
  Totals<kColumns> totals;
  WeightStream<Kind> weights(p.weights, static_cast<int>(blockIdx.x) * kWarps + warp, first);
  TokenStream<kColumns> x(p.x, first_token, first);
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
    const Inputs<kColumns> inputs{stages[stage].tokens[i]};
    add_tile<kColumns>(read_slot(stages[stage].weights[i][warp]), inputs, totals.piece);
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
  store_outputs<kColumns>(p, first_token, totals.all);
}

template <int kColumns>
cudaError_t launch_product(const Product& p, const w4::Plan& plan, cudaStream_t stream) {
  LaunchShape shape{dim3(static_cast<unsigned>(plan.row_blocks), static_cast<unsigned>(plan.token_blocks),
                         static_cast<unsigned>(plan.parts)),
                    dim3(kThreads), 0, stream, true};
  return with_kind(p.weights, [&](auto kind) {
    using Kind = decltype(kind);
    shape.shared_bytes = kStages<kColumns> * sizeof(Stage<kColumns, Kind>);
    return launch(w4_product<kColumns, Kind>, shape, p);
  });
}

}  // namespace

cudaError_t multiply_w4(const Product& p, cudaStream_t stream) {
  const w4::Plan plan = w4::plan_product(p.weights.row_blocks(), p.x.tokens, p.pieces, p.processors);
  if (plan.columns == 1) return launch_product<1>(p, plan, stream);
  if (plan.columns == 2) return launch_product<2>(p, plan, stream);
  return plan.columns == 4 ? launch_product<4>(p, plan, stream) : launch_product<8>(p, plan, stream);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
