// y = W x on tensor cores with mma.m16n8k16 (sm_80 and later), software-pipelined by cp.async. A CTA of four warps
// computes 64 rows (four m-tiles of 16) by 8 to 64 tokens (n-tiles of 8) and walks k in tiles of 64 inputs, two for
// each pipeline stage. Every warp copies one m-tile of weights and a share of the activations into the stage; after the
// barrier any warp may read all of it. Bound: the weights' bytes for few tokens, then the tensor cores.
#pragma once

#include <algorithm>

#include "kernels/cuda/primitives/barriers.h"
#include "kernels/cuda/primitives/pdl.h"
#include "kernels/cuda/sm80_gemm_tile.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

constexpr int kGemmWarps = kBlockRows / kMTileRows;
constexpr int kGemmThreads = kGemmWarps * kLanes;
constexpr int kStageTiles = 2;  // k-tiles between two barriers: the latencies of one hide behind those of the other

// The activations of one k-tile and kNTiles n-tiles in shared memory, as prepare() lays them out: x, then (where the
// format has minimums) the sums of each k-step.
template <int kNTiles, bool kSums>
struct TokenStage {
  Bytes16 vectors[kNTiles * (kNTileVectors + (kSums ? kNTileTokens : 0))];

  HALFTONE_DEVICE Bytes16* sums() { return vectors + kNTiles * kNTileVectors; }
  HALFTONE_DEVICE const StepSums* sums() const {
    return reinterpret_cast<const StepSums*>(vectors + kNTiles * kNTileVectors);
  }
};
template <int kNTiles, typename Traits>
struct GemmStage {
  SharedWeights<Traits> weights[kStageTiles][kGemmWarps];
  TokenStage<kNTiles, Traits::Codes::kHasMinimum> tokens[kStageTiles];
};

// Pipeline depth that fits into 96 KiB, the shared memory that a CTA may have on every GPU since sm_80.
template <int kNTiles, typename Traits>
constexpr int kStages = std::clamp<int>(96 * 1024 / sizeof(GemmStage<kNTiles, Traits>), 2, kNTiles <= 2 ? 4 : 3);
// Resident CTAs per SM that the compiler leaves registers for (the launch bound).
template <int kNTiles>
[[maybe_unused]] constexpr int kGemmCtasPerSm = kNTiles == 1   ? 5
                                                : kNTiles == 2 ? 4
                                                : kNTiles == 4 ? 3
                                                               : 2;

// The CTA's loads of activations: each next() copies one k-tile into a stage, beginning with k-tile `tile`; all threads
// of the CTA take part. Tokens past the last become zeros.
template <int kNTiles, bool kSums>
class TokenStream {
 public:
  HALFTONE_DEVICE TokenStream(const Prepared& x, int first_token, int tile) {
    const int first_block = first_token / kNTileTokens;
    const int64_t at = static_cast<int64_t>(first_block + thread() / kNTileVectors) * x.tiles + tile;
    x_ = reinterpret_cast<const Bytes16*>(x.x) + at * kNTileVectors + thread() % kNTileVectors;
    pass_stride_ = static_cast<int64_t>(kTilesPerPass) * x.tiles * kNTileVectors;
    x_left_ = x.tokens - first_token - thread() / kNTileVectors * kNTileTokens - thread() % kLanes / 4;
    const int64_t sum = static_cast<int64_t>(first_block + thread() / kNTileTokens) * x.tiles + tile;
    sums_ = reinterpret_cast<const StepSums*>(x.sums) + sum * kNTileTokens + thread() % kNTileTokens;
    sums_left_ = x.tokens - first_token - thread();
  }

  HALFTONE_DEVICE void next(TokenStage<kNTiles, kSums>* stage) {
    if (kNTiles > 1 || thread() < kNTileVectors) {
      HALFTONE_UNROLL
      for (int pass = 0; pass < kPasses; ++pass) {
        // Each 16-byte vector holds inputs of one token.
        cp_async_16(stage->vectors + thread() + pass * kGemmThreads, x_ + pass * pass_stride_,
                    x_left_ > pass * kTilesPerPass * kNTileTokens);
      }
      x_ += kNTileVectors;
    }
    if (kSums && thread() < kNTiles * kNTileTokens) {
      cp_async_16(stage->sums() + thread(), sums_, sums_left_ > 0);
      sums_ += kNTileTokens;
    }
  }

 private:
  static constexpr int kTilesPerPass = kGemmThreads / kNTileVectors;  // n-tiles that all threads copy together
  static constexpr int kPasses = (kNTiles + kTilesPerPass - 1) / kTilesPerPass;

  HALFTONE_DEVICE static int thread() { return static_cast<int>(threadIdx.x); }

  const Bytes16* x_;
  const StepSums* sums_;
  int64_t pass_stride_;
  int x_left_, sums_left_;  // tokens from this thread's on; not positive: it copies zeros
};

// A lane's B operands in a stage, from n-tile `first` on (mma.m16n8k16's B fragment: PTX ISA, "Matrix fragments").
template <int kNTiles, bool kSums>
struct InputFragments {
  const TokenStage<kNTiles, kSums>& stage;
  int first;

  HALFTONE_DEVICE Bytes16 x(int n, int half) const {
    const int lane = static_cast<int>(threadIdx.x) % kLanes;
    return load_shared(stage.vectors + (first + n) * kNTileVectors + half * kLanes + lane);
  }
  HALFTONE_DEVICE StepSums sums(int n, int i) const {
    return load_shared(stage.sums() + (first + n) * kNTileTokens + static_cast<int>(threadIdx.x) % 4 * 2 + i);
  }
};

// Accumulators of a warp that walks several k-splits: `split` is the running one, `all` the sum of those that are done,
// added in ascending order, so that the bits are those of split-K over several CTAs.
template <int kMTiles, int kNTiles>
struct SplitSums {
  float all[kMTiles][kNTiles][4] = {}, split[kMTiles][kNTiles][4] = {};
  bool is_first = true;

  HALFTONE_DEVICE void end_split() {
    HALFTONE_UNROLL
    for (int m = 0; m < kMTiles; ++m) {
      HALFTONE_UNROLL
      for (int n = 0; n < kNTiles; ++n) {
        HALFTONE_UNROLL
        for (int i = 0; i < 4; ++i) {
          all[m][n][i] = is_first ? split[m][n][i] : all[m][n][i] + split[m][n][i];
          split[m][n][i] = 0;
        }
      }
    }
    is_first = false;
  }
};

// The 64 rows that a CTA computes: their matrix among the fused ones, which block of 64 rows of it, and the matrix'
// first row in the launch's output.
struct CtaRows {
  DeviceMatrix matrix;
  int block, first_row;
};
HALFTONE_DEVICE CtaRows rows_of_cta(const GemmLaunch& p, int block) {
  CtaRows rows{p.weights[0], block, 0};
  HALFTONE_UNROLL
  for (int i = 1; i < kMaxFused; ++i) {
    const int before = p.weights[i - 1].row_blocks();
    if (i >= p.matrices || block < before) break;
    block -= before;
    rows = {p.weights[i], block, rows.first_row + p.weights[i - 1].rows};
  }
  return rows;
}

// y: the accumulators of one m-tile, as mma_tile() leaves them.
template <int kNTiles>
HALFTONE_DEVICE void store_outputs(const GemmLaunch& p, const CtaRows& rows, int m_tile, int first_token,
                                   const float (&y)[kNTiles][4]) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  float* out = p.out + static_cast<int64_t>(blockIdx.z) * p.partial_stride + rows.first_row;
  HALFTONE_UNROLL
  for (int n = 0; n < kNTiles; ++n) {
    HALFTONE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int row = rows.block * kBlockRows + m_tile * kMTileRows + i / 2 * 8 + lane / 4;
      const int token = first_token + n * kNTileTokens + lane % 4 * 2 + i % 2;
      if (row < rows.matrix.rows && token < p.x.tokens) {
        out[static_cast<int64_t>(token) * p.out_stride + row] = y[n][i];
      }
    }
  }
}

// Each warp computes kMTiles m-tiles by kNTiles / kMTiles n-tiles: one by all of the CTA's tokens, or several by a
// share of them, so that an operand read from shared memory serves more mma. Grid: (blocks of 64 rows over all fused
// matrices, blocks of tokens, 1 or split-K: one k-split each).
template <int kNTiles, int kMTiles, typename Traits>
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kGemmThreads, kGemmCtasPerSm<kNTiles>) gemm_kernel(GemmLaunch p) {
  constexpr int kDepth = kStages<kNTiles, Traits>, kAhead = kDepth - 1, kWarpNTiles = kNTiles / kMTiles;
  auto* stages = dynamic_shared<GemmStage<kNTiles, Traits>>();
  const CtaRows rows = rows_of_cta(p, static_cast<int>(blockIdx.x));
  const int warp = static_cast<int>(threadIdx.x) / kLanes, tiles = p.x.tiles;
  const int first_m_tile = warp % (kGemmWarps / kMTiles) * kMTiles;
  const int first_n_tile = warp / (kGemmWarps / kMTiles) * kWarpNTiles;
  const int first_token = static_cast<int>(blockIdx.y) * kNTiles * kNTileTokens;
  const int splits_here = p.k_splits / static_cast<int>(gridDim.z);
  int split = static_cast<int>(blockIdx.z) * splits_here;
  const int first = k_split_begin(split, tiles, p.k_splits),
            end = k_split_begin(split + splits_here, tiles, p.k_splits);
  SplitSums<kMTiles, kWarpNTiles> sums;
  WeightStream<Traits> weights(rows.matrix, rows.block * kGemmWarps + warp, first);
  TokenStream<kNTiles, Traits::Codes::kHasMinimum> x(p.x, first_token, first);
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
    const InputFragments<kNTiles, Traits::Codes::kHasMinimum> inputs{stages[stage].tokens[i], first_n_tile};
    WeightFragment<Traits> w[kMTiles];
    HALFTONE_UNROLL
    for (int m = 0; m < kMTiles; ++m) w[m] = load_fragment(stages[stage].weights[i][first_m_tile + m]);
    mma_tile(w, inputs, sums.split);
  };
  pdl_trigger();
  HALFTONE_UNROLL
  for (int i = 0; i < kAhead; ++i) load_weights(first + i * kStageTiles, i);
  pdl_wait();
  HALFTONE_UNROLL
  for (int i = 0; i < kAhead; ++i) load_x(first + i * kStageTiles, i);
  int split_end = k_split_begin(split + 1, tiles, p.k_splits), here = 0, to = kAhead;
  for (int tile = first; tile < end; tile += kStageTiles) {
    cp_async_wait<kAhead - 1>();
    block_barrier();  // the stage has arrived for all, and nobody reads any longer what the next loads overwrite
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
    if (tile + 1 < end) {  // without a branch between them, so that each hides the other's latencies
      multiply(here, 0);
      multiply(here, 1);
    } else {
      multiply(here, 0);
    }
    to = here;
    here = here + 1 == kDepth ? 0 : here + 1;
    if (tile + kStageTiles < split_end) continue;
    sums.end_split();
    split_end = k_split_begin(++split + 1, tiles, p.k_splits);
  }
  HALFTONE_UNROLL
  for (int m = 0; m < kMTiles; ++m) {
    store_outputs(p, rows, first_m_tile + m, first_token + first_n_tile * kNTileTokens, sums.all[m]);
  }
}

template <typename Codes, int kNTiles, int kMTiles = 1>
cudaError_t launch_sm80_gemm(const GemmLaunch& p, const gemm::Plan& plan, cudaStream_t stream) {
  LaunchShape shape{dim3(static_cast<unsigned>(plan.row_blocks), static_cast<unsigned>(plan.token_blocks),
                         static_cast<unsigned>(plan.split_partials)),
                    dim3(kGemmThreads), 0, stream, true};
  return with_traits<Codes>(p.weights[0], [&](auto traits) {
    using Traits = decltype(traits);
    shape.shared_bytes = kStages<kNTiles, Traits> * sizeof(GemmStage<kNTiles, Traits>);
    return launch(gemm_kernel<kNTiles, kMTiles, Traits>, shape, p);
  });
}

// Warp tile: one m-tile of 16 rows by all tokens of the CTA.
template <typename Codes>
cudaError_t sm80_gemm_m16(const GemmLaunch& p, const gemm::Plan& plan, cudaStream_t stream) {
  if (plan.n_tiles == 1) return launch_sm80_gemm<Codes, 1>(p, plan, stream);
  if (plan.n_tiles == 2) return launch_sm80_gemm<Codes, 2>(p, plan, stream);
  return plan.n_tiles == 4 ? launch_sm80_gemm<Codes, 4>(p, plan, stream) : launch_sm80_gemm<Codes, 8>(p, plan, stream);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
