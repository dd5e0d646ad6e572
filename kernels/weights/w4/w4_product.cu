// w4 on tensor cores: a block of four warps, each with a strip of 16 rows, for 64 rows and 8 to 64 tokens. Weights and
// activations arrive in shared memory by asynchronous copies, some tiles deep; activations serve all four warps. Bound:
// the weights' bytes up to some 50 tokens, then the tensor cores.
#include "kernels/cuda/primitives/barriers.h"
#include "kernels/cuda/primitives/copy.h"
#include "kernels/cuda/primitives/overlap.h"
#include "kernels/weights/w4/w4_cuda.h"
#include "kernels/weights/w4/w4_tile.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

using namespace w4_tile;

constexpr int kWarps = kBlockRows / w4::kStripRows;
constexpr int kThreads = kWarps * kLanes;
// Tiles on their way, and blocks of a processor that have room for them.
template <int kColumns>
constexpr int kStages = kColumns <= 2 ? 6 : 4;
template <int kColumns>
constexpr int kBlocks = kColumns == 1   ? 6
                        : kColumns == 2 ? 5
                        : kColumns == 4 ? 3
                                        : 2;

// Some eights of tokens' side of a tile, as prepare() lays them out.
template <int kColumns>
struct TokenStage {
  Bytes16 x[kColumns][kTokenBlockChunks];
  Sums sums[kColumns][kTokenColumns];
};
template <int kColumns, typename Kind>
struct Stage {
  Slot<Kind> weights[kWarps];
  TokenStage<kColumns> tokens;
};

template <int kColumns>
HALFTONE_DEVICE void load_tokens(const Prepared& x, int first_token, int tile, TokenStage<kColumns>* stage) {
  constexpr int kChunks = kColumns * kTokenBlockChunks;
  const int thread = static_cast<int>(threadIdx.x), first_block = first_token / kTokenColumns;
  HALFTONE_UNROLL
  for (int j = 0; j < (kChunks + kThreads - 1) / kThreads; ++j) {
    const int i = thread + j * kThreads, block = i / kTokenBlockChunks, chunk = i % kTokenBlockChunks;
    if (kChunks < kThreads && i >= kChunks) break;
    // A chunk holds inputs of one token; those of tokens that are not there are not read.
    const int token = first_token + block * kTokenColumns + chunk % kLanes / 4;
    const auto* from = reinterpret_cast<const Bytes16*>(x.x) +
                       (static_cast<int64_t>(first_block + block) * x.tiles + tile) * kTokenBlockChunks + chunk;
    cp_async_16(&stage->x[block][chunk], from, token < x.tokens);
  }
  if (thread < kColumns * kTokenColumns) {
    const int block = thread / kTokenColumns, token = thread % kTokenColumns;
    const auto* from = reinterpret_cast<const Sums*>(x.sums) +
                       (static_cast<int64_t>(first_block + block) * x.tiles + tile) * kTokenColumns + token;
    cp_async_16(&stage->sums[block][token], from, first_token + thread < x.tokens);
  }
}

// One lane's view of a stage.
template <int kColumns>
struct Inputs {
  const TokenStage<kColumns>& stage;

  HALFTONE_DEVICE Bytes8 x(int n, int step) const {
    const auto* chunk = &stage.x[n][step / 2 * kLanes + static_cast<int>(threadIdx.x) % kLanes];
    return load_shared(reinterpret_cast<const Bytes8*>(chunk) + step % 2);
  }
  HALFTONE_DEVICE Sums sums(int n, int i) const {
    return load_shared(&stage.sums[n][static_cast<int>(threadIdx.x) % 4 * 2 + i]);
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
  constexpr int kDepth = kStages<kColumns>;
  auto* stages = dynamic_shared<Stage<kColumns, Kind>>();
  const int warp = static_cast<int>(threadIdx.x) / kLanes, tiles = p.weights.tiles;
  const int first_token = static_cast<int>(blockIdx.y) * kColumns * kTokenColumns;
  const int pieces_here = p.pieces / static_cast<int>(gridDim.z);
  int piece = static_cast<int>(blockIdx.z) * pieces_here;
  const int first = piece_begin(piece, tiles, p.pieces), end = piece_begin(piece + pieces_here, tiles, p.pieces);
  WeightStream<Kind> stream(p.weights, static_cast<int>(blockIdx.x) * kWarps + warp, first);
  auto load_tokens_of = [&](int tile) {
    if (tile < end) load_tokens(p.x, first_token, tile, &stages[tile % kDepth].tokens);
    cp_async_commit();
  };
  auto load_weights_of = [&](int tile) {
    if (tile < end) stream.next(&stages[tile % kDepth].weights[warp]);
  };
  let_next_begin();
  for (int tile = first; tile < first + kDepth - 1; ++tile) load_weights_of(tile);
  wait_for_earlier();
  for (int tile = first; tile < first + kDepth - 1; ++tile) load_tokens_of(tile);
  Totals<kColumns> totals;
  int piece_end = piece_begin(piece + 1, tiles, p.pieces);
  for (int tile = first; tile < end; ++tile) {
    cp_async_wait<kDepth - 2>();
    block_barrier();  // the tile is there for all, and nobody reads any longer what the next load overwrites
    load_weights_of(tile + kDepth - 1);
    load_tokens_of(tile + kDepth - 1);
    const auto& stage = stages[tile % kDepth];
    add_tile<kColumns>(read_slot(stage.weights[warp]), Inputs<kColumns>{stage.tokens}, totals.piece);
    if (tile + 1 < piece_end) continue;
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
