// w4 on CUDA's tensor cores: mma.m16n8k16 with the codes as the 16-row operand, as integers that bf16 holds exactly,
// and the activations as the 8-column one; so few tokens waste nothing. Scale and minimum come in once per segment, in
// float32: y += scale * (codes . x) + minimum * (sum of x). Tiles of weights, scales and activations arrive by
// asynchronous copies, kStages deep. Bound: the weights' bytes up to some 50 tokens.
#include "kernels/contract/numbers.h"
#include "kernels/cuda/primitives/barriers.h"
#include "kernels/cuda/primitives/copy.h"
#include "kernels/cuda/primitives/matrix.h"
#include "kernels/cuda/primitives/numbers.h"
#include "kernels/weights/w4/w4.h"
#include "kernels/weights/w4/w4_cuda.h"
#include "kernels/weights/w4/w4_cuda_layout.h"
#include "kernels/weights/w4/w4_layout.h"
#include "kernels/weights/w4/w4_plan.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

using Offset = AffineGrid::Offset;
using w4::kLanes, w4::kStages, w4::kTileSteps, w4::kTokenColumns, w4::kWarpRows;

constexpr int kWarps = kBlockRows / kWarpRows;
constexpr int kThreads = kWarps * kLanes;
constexpr int kTileCodeBytes = kBlockRows * kTileInputs / 2;
constexpr int kTokenBytes = kTileInputs * static_cast<int>(sizeof(uint16_t));  // of a token's x in a tile
constexpr int kTileUnits = kTileInputs / kSumInputs;
constexpr int kChunkBytes = 16;
constexpr int kVectorBytes = kBlockRows * static_cast<int>(sizeof(uint16_t));  // a scale for each row

// One tile of everything, in shared memory.
template <int kColumns, int kSegment>
struct Stage {
  static constexpr int kTokens = kColumns * kTokenColumns;
  static constexpr int kSegments = kTileInputs / kSegment;
  std::byte codes[kTileCodeBytes];     // thread after thread
  std::byte x[kTokens * kTokenBytes];  // 16-byte chunk c of token t stands at place c ^ (t % 8)
  float sums[kTileUnits * kTokens];
  uint16_t scales[kSegments * kBlockRows];
  uint16_t offsets[kSegments * kBlockRows];
};

HALFTONE_DEVICE uint32_t x_place(uint32_t token, uint32_t chunk) {
  return token * kTokenBytes + (chunk ^ (token % 8)) * kChunkBytes;
}

struct Block {
  const std::byte* codes;
  const uint16_t* scales;
  const uint16_t* offsets;  // null: symmetric
  int groups, first_token;
};

HALFTONE_DEVICE Block block_of(const Product& p, int tokens) {
  const DeviceMatrix& m = p.weights;
  Block block;
  block.codes = m.codes + static_cast<uint64_t>(blockIdx.x) * m.block_codes;
  block.scales = reinterpret_cast<const uint16_t*>(m.scales + static_cast<uint64_t>(blockIdx.x) * m.block_scales);
  block.groups = (m.cols + m.group - 1) / m.group;
  block.offsets = m.offset == Offset::kSymmetric ? nullptr : block.scales + block.groups * kBlockRows;
  block.first_token = static_cast<int>(blockIdx.y) * tokens;
  return block;
}

template <int kColumns, int kSegment>
HALFTONE_DEVICE void load_x(const Product& p, const Block& block, int tile, Stage<kColumns, kSegment>* stage) {
  constexpr int kTokens = kColumns * kTokenColumns, kChunks = kTokenBytes / kChunkBytes, kQuads = kTokens / 4;
  for (int i = static_cast<int>(threadIdx.x); i < kTokens * kChunks; i += kThreads) {
    const int t = i / kChunks, chunk = i % kChunks, token = block.first_token + t;
    const bool valid = token < p.x.tokens;
    const uint16_t* from =
        p.x.x + static_cast<int64_t>(valid ? token : 0) * p.x.stride + tile * kTileInputs + chunk * 8;
    cp_async_16(stage->x + x_place(static_cast<uint32_t>(t), static_cast<uint32_t>(chunk)), from, valid);
  }
  for (int i = static_cast<int>(threadIdx.x); i < kTileUnits * kQuads; i += kThreads) {
    const int unit = i / kQuads, t = i % kQuads * 4, token = block.first_token + t;
    const bool valid = token < p.x.tokens_stride;
    const float* from =
        p.x.sums + static_cast<int64_t>(tile * kTileUnits + unit) * p.x.tokens_stride + (valid ? token : 0);
    cp_async_16(stage->sums + unit * kTokens + t, from, valid);
  }
}

template <int kColumns, int kSegment>
HALFTONE_DEVICE void load_weights(const Product& p, const Block& block, int tile, Stage<kColumns, kSegment>* stage) {
  constexpr int kChunks = kVectorBytes / kChunkBytes, kHalves = kBlockRows / kChunks;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kLanes;
  const int64_t at = (static_cast<int64_t>(warp) * p.weights.tiles + tile) * kLanes + thread % kLanes;
  cp_async_16(stage->codes + thread * kChunkBytes, block.codes + at * kChunkBytes, true);
  for (int i = thread; i < kTileInputs / kSegment * kChunks; i += kThreads) {
    const int segment = i / kChunks, row = i % kChunks * kHalves;
    const int group = (tile * kTileInputs + segment * kSegment) / p.weights.group;
    const int from = (group < block.groups ? group : block.groups - 1) * kBlockRows + row;
    cp_async_16(stage->scales + segment * kBlockRows + row, block.scales + from, true);
    if (block.offsets != nullptr) cp_async_16(stage->offsets + segment * kBlockRows + row, block.offsets + from, true);
  }
}

// Two codes, one in each half of the word, as bf16 numbers: 128 + code has the code as its last mantissa bits.
HALFTONE_DEVICE uint32_t codes_as_bf16(uint32_t word) {
  constexpr uint32_t k128 = 0x43004300u, kOne = 0x3f803f80u, kMinus128 = 0xc300c300u;
  return bf16x2_fma((word & 0x000f000fu) | k128, kOne, kMinus128);
}

HALFTONE_DEVICE float minimum_of(Offset kind, float scale, uint16_t offset) {
  if (kind == Offset::kSymmetric) return scale * -8.0f;
  return kind == Offset::kMinimum ? f32_from_f16(offset) : scale * -f32_from_f16(offset);
}

// The activations of one step for all eights of tokens. A lane names a row of a 8 x 8 matrix that it loads; four of
// them are two eights of tokens by 16 inputs.
template <int kColumns, int kSegment>
HALFTONE_DEVICE void load_columns(const Stage<kColumns, kSegment>& stage, int step, uint32_t (*b)[2]) {
  const uint32_t lane = threadIdx.x % kLanes, chunk = static_cast<uint32_t>(step) * 2 + lane / 8 % 2;
  if constexpr (kColumns == 1) {
    ldmatrix_x2(b[0], stage.x + x_place(lane % 8, chunk));
  } else {
    for (int n = 0; n < kColumns; n += 2) {
      const uint32_t token = static_cast<uint32_t>(n) * kTokenColumns + lane / 16 * kTokenColumns + lane % 8;
      uint32_t four[4];
      ldmatrix_x4(four, stage.x + x_place(token, chunk));
      b[n][0] = four[0], b[n][1] = four[1], b[n + 1][0] = four[2], b[n + 1][1] = four[3];
    }
  }
}

// y: of rows g and g + 8 (g = lane / 4) and tokens 2 t and 2 t + 1 (t = lane % 4) of each eight.
template <int kColumns, int kSegment>
HALFTONE_DEVICE void add_segment(const Stage<kColumns, kSegment>& stage, int segment, const float (*dots)[4],
                                 Offset kind, float (*y)[4]) {
  constexpr int kTokens = kColumns * kTokenColumns, kUnits = kSegment / kSumInputs;
  const int lane = static_cast<int>(threadIdx.x) % kLanes, warp = static_cast<int>(threadIdx.x) / kLanes;
  for (int half = 0; half < 2; ++half) {
    const int row = segment * kBlockRows + warp * kWarpRows + half * 8 + lane / 4;
    const float scale = f32_from_f16(stage.scales[row]);
    const float minimum = minimum_of(kind, scale, kind == Offset::kSymmetric ? uint16_t{0} : stage.offsets[row]);
    for (int n = 0; n < kColumns; ++n) {
      for (int i = 0; i < 2; ++i) {
        const float* sums = stage.sums + segment * kUnits * kTokens + n * kTokenColumns + lane % 4 * 2 + i;
        float sum = sums[0];
        for (int unit = 1; unit < kUnits; ++unit) sum = sum + sums[unit * kTokens];
        float& out = y[n][half * 2 + i];
        out = fma(minimum, sum, fma(scale, dots[n][half * 2 + i], out));
      }
    }
  }
}

template <int kColumns, int kSegment>
HALFTONE_DEVICE void multiply_tile(const Stage<kColumns, kSegment>& stage, Offset kind, float (*y)[4]) {
  constexpr int kSteps = kSegment / w4::kStepInputs;
  const auto* words = reinterpret_cast<const uint32_t*>(stage.codes) + threadIdx.x * kTileSteps;
  for (int segment = 0; segment < kTileInputs / kSegment; ++segment) {
    float dots[kColumns][4] = {};
    for (int step = segment * kSteps; step < (segment + 1) * kSteps; ++step) {
      uint32_t b[kColumns][2];
      load_columns(stage, step, b);
      const uint32_t word = words[step];
      const uint32_t a[4] = {codes_as_bf16(word), codes_as_bf16(word >> 4), codes_as_bf16(word >> 8),
                             codes_as_bf16(word >> 12)};
      for (int n = 0; n < kColumns; ++n) mma_bf16_16816(dots[n], a, b[n]);
    }
    add_segment(stage, segment, dots, kind, y);
  }
}

template <int kColumns>
HALFTONE_DEVICE void store_outputs(const Product& p, const Block& block, const float (*y)[4]) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes, warp = static_cast<int>(threadIdx.x) / kLanes;
  float* out = p.out + static_cast<int64_t>(blockIdx.z) * p.split_stride;
  for (int n = 0; n < kColumns; ++n) {
    for (int i = 0; i < 4; ++i) {
      const int row = static_cast<int>(blockIdx.x) * kBlockRows + warp * kWarpRows + i / 2 * 8 + lane / 4;
      const int token = block.first_token + n * kTokenColumns + lane % 4 * 2 + i % 2;
      if (row < p.weights.rows && token < p.x.tokens) out[static_cast<int64_t>(token) * p.out_stride + row] = y[n][i];
    }
  }
}

// Grid: (blocks of rows, blocks of tokens, pieces of the inputs).
template <int kColumns, int kSegment>
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 2) w4_product(Product p) {
  using TileStage = Stage<kColumns, kSegment>;
  auto* stages = dynamic_shared<TileStage>();
  const Block block = block_of(p, TileStage::kTokens);
  const int piece = static_cast<int>(blockIdx.z), first = piece * p.weights.tiles / p.splits;
  const int end = (piece + 1) * p.weights.tiles / p.splits;
  auto load = [&](int tile) {
    if (tile < end) {
      load_weights(p, block, tile, stages + tile % kStages);
      load_x(p, block, tile, stages + tile % kStages);
    }
    cp_async_commit();
  };
  float y[kColumns][4] = {};
  for (int tile = first; tile < first + kStages - 1; ++tile) load(tile);
  for (int tile = first; tile < end; ++tile) {
    cp_async_wait<kStages - 2>();
    block_barrier();  // the tile is there for all, and nobody reads any longer what the next load overwrites
    load(tile + kStages - 1);
    multiply_tile(stages[tile % kStages], p.weights.offset, y);
  }
  store_outputs<kColumns>(p, block, y);
}

template <int kColumns>
cudaError_t launch_product(const Product& p, const w4::Plan& plan, cudaStream_t stream) {
  LaunchShape shape{dim3(static_cast<unsigned>(plan.row_blocks), static_cast<unsigned>(plan.token_blocks),
                         static_cast<unsigned>(plan.splits)),
                    dim3(kThreads), 0, stream};
  const PackedShape packed{p.weights.rows, p.weights.cols, p.weights.group, p.weights.offset};
  auto with = [&](auto segment) {
    constexpr int kSegment = decltype(segment)::value;
    shape.shared_bytes = kStages * sizeof(Stage<kColumns, kSegment>);
    return launch(w4_product<kColumns, kSegment>, shape, p);
  };
  const int segment = w4::segment_inputs(packed);
  if (segment == 64) return with(std::integral_constant<int, 64>());
  return segment == 32 ? with(std::integral_constant<int, 32>()) : with(std::integral_constant<int, 16>());
}

int split_count(const DeviceMatrix& m, int processors) { return w4::plan_splits(m.row_blocks(), m.tiles, processors); }

cudaError_t multiply(const Product& p, cudaStream_t stream) {
  const w4::Plan plan = w4::plan_product(p.weights.row_blocks(), p.x.tokens, p.splits);
  if (plan.columns == 1) return launch_product<1>(p, plan, stream);
  if (plan.columns == 2) return launch_product<2>(p, plan, stream);
  return plan.columns == 4 ? launch_product<4>(p, plan, stream) : launch_product<8>(p, plan, stream);
}

constexpr int kEmbedThreads = 64;

// A block for each token.
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kEmbedThreads, 8)
    w4_embed(DeviceMatrix m, const int32_t* ids, const int32_t* tokens, uint16_t* y, int64_t stride) {
  const int token = static_cast<int>(blockIdx.x), id = token < *tokens ? ids[token] : 0, row = id % kBlockRows;
  const int groups = (m.cols + m.group - 1) / m.group;
  const auto* words =
      reinterpret_cast<const uint32_t*>(m.codes + static_cast<uint64_t>(id / kBlockRows) * m.block_codes);
  const auto* scales =
      reinterpret_cast<const uint16_t*>(m.scales + static_cast<uint64_t>(id / kBlockRows) * m.block_scales);
  for (int c = static_cast<int>(threadIdx.x); c < m.cols; c += kEmbedThreads) {
    const w4::FragmentPlace place = w4::fragment_place(row % kWarpRows, c % kTileInputs);
    const int tile = row / kWarpRows * m.tiles + c / kTileInputs;
    const uint32_t code = words[(tile * kLanes + place.lane) * kTileSteps + place.step] >> place.shift & 15u;
    const int at = c / m.group * kBlockRows + row;
    const float scale = f32_from_f16(scales[at]);
    const uint16_t offset = m.offset == Offset::kSymmetric ? uint16_t{0} : scales[groups * kBlockRows + at];
    const float value = fma(static_cast<float>(code), scale, minimum_of(m.offset, scale, offset));
    y[token * stride + c] = token < *tokens ? bf16_from_f32(value) : uint16_t{0};
  }
}

cudaError_t embed(const DeviceMatrix& m, const int32_t* ids, const int32_t* tokens, uint16_t* y, int64_t stride,
                  int rows, cudaStream_t stream) {
  const LaunchShape shape{dim3(static_cast<unsigned>(rows)), dim3(kEmbedThreads), 0, stream};
  return launch(w4_embed, shape, m, ids, tokens, y, stride);
}

PackedBytes block_bytes(const PackedShape& s) {
  const size_t vectors = s.offset == Offset::kSymmetric ? 1 : 2;
  return {static_cast<size_t>(input_tiles(s)) * kTileCodeBytes,
          static_cast<size_t>(w4::groups(s)) * vectors * kVectorBytes};
}

void pack_scales(const PackedMatrix& rows, const AffineGroups& in, int64_t r, uint16_t* scales) {
  const int64_t groups = w4::groups(rows.shape);
  for (int64_t g = 0; g < groups; ++g) {
    const size_t from = static_cast<size_t>(r * groups + g);
    scales[g * kBlockRows + r] = halftone::f16_from_f32(in.scale[from]);
    if (rows.shape.offset == Offset::kSymmetric) continue;
    float offset = in.minimum[from];
    if (rows.shape.offset == Offset::kZeroPoint) offset = in.scale[from] != 0 ? -offset / in.scale[from] : 0;
    scales[(groups + g) * kBlockRows + r] = halftone::f16_from_f32(offset);
  }
}

void pack_block(const PackedMatrix& rows, std::byte* codes, std::byte* scales) {
  AffineGroupsBuffer in;
  rows.format->export_rows(rows, 0, rows.shape.rows, &in);
  const int64_t cols = rows.shape.cols, tiles = input_tiles(rows.shape);
  auto* words = reinterpret_cast<uint32_t*>(codes);
  for (int64_t r = 0; r < rows.shape.rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      const w4::FragmentPlace place =
          w4::fragment_place(static_cast<int>(r % kWarpRows), static_cast<int>(c % kTileInputs));
      const int64_t tile = r / kWarpRows * tiles + c / kTileInputs;
      const uint32_t code = in.codes[static_cast<size_t>(r * cols + c)];
      words[(tile * kLanes + place.lane) * kTileSteps + place.step] |= code << place.shift;
    }
    pack_scales(rows, in.view, r, reinterpret_cast<uint16_t*>(scales));
  }
}

}  // namespace

const CudaFormat kCudaW4{
    .format = &kW4,
    .block_bytes = block_bytes,
    .pack_block = pack_block,
    .split_count = split_count,
    .multiply = multiply,
    .embed = embed,
};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
