// w4 for more than 16 tokens: a block of four warps, each with a strip of 16 rows, for 64 rows and 32 or 64 tokens.
// Weights and activations arrive in shared memory by asynchronous copies, kStages tiles deep; activations serve all four
// warps. Bound: the weights' bytes up to some 50 tokens, then the tensor cores.
#include "kernels/cuda/primitives/barriers.h"
#include "kernels/cuda/primitives/copy.h"
#include "kernels/weights/w4/w4_cuda.h"
#include "kernels/weights/w4/w4_tile.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

using namespace w4_tile;

constexpr int kStages = 4;
constexpr int kWarps = kBlockRows / w4::kStripRows;
constexpr int kThreads = kWarps * kLanes;
constexpr int kChunkBytes = 16, kChunkInputs = kChunkBytes / static_cast<int>(sizeof(uint16_t));
constexpr int kTokenBytes = kTileInputs * static_cast<int>(sizeof(uint16_t));  // of a token's x in a tile
constexpr int kTokenChunks = kTokenBytes / kChunkBytes;

// Some eights of tokens' side of a tile, in shared memory.
template <int kColumns>
struct TokenStage {
  static constexpr int kTokens = kColumns * kTokenColumns;
  std::byte x[kTokens * kTokenBytes];
  Sums sums[kTokens];
};
template <int kColumns, typename Kind>
struct Stage {
  Slot<Kind> weights[kWarps];
  TokenStage<kColumns> tokens;
};

// A half warp reads 32 bytes of four tokens at once: they meet all banks.
HALFTONE_DEVICE uint32_t x_place(uint32_t token, uint32_t chunk) {
  return token * kTokenBytes + (chunk ^ token % 4 * 2) * kChunkBytes;
}

template <int kColumns>
HALFTONE_DEVICE void load_tokens(const Prepared& x, int first_token, int tile, TokenStage<kColumns>* stage) {
  constexpr int kTokens = kColumns * kTokenColumns;
  static_assert(kTokens * kTokenChunks % kThreads == 0 && kTokens <= kThreads);
  const int thread = static_cast<int>(threadIdx.x);
  HALFTONE_UNROLL
  for (int j = 0; j < kTokens * kTokenChunks / kThreads; ++j) {
    const int i = thread + j * kThreads, t = i / kTokenChunks, chunk = i % kTokenChunks, token = first_token + t;
    const bool valid = token < x.tokens;
    const uint16_t* from =
        x.x + static_cast<int64_t>(valid ? token : 0) * x.stride + tile * kTileInputs + chunk * kChunkInputs;
    cp_async_16(stage->x + x_place(static_cast<uint32_t>(t), static_cast<uint32_t>(chunk)), from, valid);
  }
  if (thread < kTokens) {
    const int token = first_token + thread;
    const bool valid = token < x.tokens;
    const Sums* from = reinterpret_cast<const Sums*>(x.sums) + static_cast<int64_t>(tile) * x.tokens_stride;
    cp_async_16(stage->sums + thread, from + (valid ? token : 0), valid);
  }
}

// One lane's view of a stage.
template <int kColumns>
struct Inputs {
  const TokenStage<kColumns>& stage;

  HALFTONE_DEVICE Bytes8 x(int n, int step) const {
    const uint32_t lane = threadIdx.x % kLanes;
    const uint32_t token = static_cast<uint32_t>(n) * kTokenColumns + lane / 4;
    const uint32_t chunk = static_cast<uint32_t>(step) * 2 + lane % 4 / 2;
    return load_shared(reinterpret_cast<const Bytes8*>(stage.x + x_place(token, chunk) + lane % 2 * sizeof(Bytes8)));
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
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 2) w4_prefill(Product p) {
  auto* stages = dynamic_shared<Stage<kColumns, Kind>>();
  const int warp = static_cast<int>(threadIdx.x) / kLanes, tiles = p.weights.tiles;
  const int first_token = static_cast<int>(blockIdx.y) * kColumns * kTokenColumns;
  const int pieces_here = p.pieces / static_cast<int>(gridDim.z);
  int piece = static_cast<int>(blockIdx.z) * pieces_here;
  const int first = piece_begin(piece, tiles, p.pieces), end = piece_begin(piece + pieces_here, tiles, p.pieces);
  WeightStream<Kind> stream(p.weights, static_cast<int>(blockIdx.x) * kWarps + warp, first);
  auto load = [&](int tile) {
    if (tile < end) {
      auto& stage = stages[tile % kStages];
      stream.next(&stage.weights[warp]);
      load_tokens(p.x, first_token, tile, &stage.tokens);
    }
    cp_async_commit();
  };
  for (int tile = first; tile < first + kStages - 1; ++tile) load(tile);
  Totals<kColumns> totals;
  int piece_end = piece_begin(piece + 1, tiles, p.pieces);
  for (int tile = first; tile < end; ++tile) {
    cp_async_wait<kStages - 2>();
    block_barrier();  // the tile is there for all, and nobody reads any longer what the next load overwrites
    load(tile + kStages - 1);
    const auto& stage = stages[tile % kStages];
    add_tile<kColumns>(read_slot(stage.weights[warp]), Inputs<kColumns>{stage.tokens}, totals.piece);
    if (tile + 1 < piece_end) continue;
    totals.end_piece();
    piece_end = piece_begin(++piece + 1, tiles, p.pieces);
  }
  store_outputs<kColumns>(p, first_token, totals.all);
}

}  // namespace

cudaError_t multiply_w4_prefill(const Product& p, cudaStream_t stream) {
  const w4::PrefillPlan plan = w4::plan_prefill(p.weights.row_blocks(), p.x.tokens, p.pieces, p.processors);
  LaunchShape shape{dim3(static_cast<unsigned>(plan.row_blocks), static_cast<unsigned>(plan.token_blocks),
                         static_cast<unsigned>(plan.parts)),
                    dim3(kThreads), 0, stream};
  return with_kind(p.weights, [&](auto kind) {
    using Kind = decltype(kind);
    shape.shared_bytes = kStages * (plan.columns == 4 ? sizeof(Stage<4, Kind>) : sizeof(Stage<8, Kind>));
    return plan.columns == 4 ? launch(w4_prefill<4, Kind>, shape, p) : launch(w4_prefill<8, Kind>, shape, p);
  });
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
