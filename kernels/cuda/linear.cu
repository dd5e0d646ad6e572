#include "kernels/cuda/linear.h"

#include <algorithm>

#include "kernels/contract/check.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/prepare.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr int64_t kSliceTokens = 64;  // slices of a step's tokens are multiples of it

// Tokens [first, first + count) of what was prepared; first is a multiple of kNTileTokens.
Prepared tokens_of(Prepared x, int64_t first, int64_t count) {
  x.x += prepared_index(static_cast<int>(first), 0, x.tiles);
  x.sums += sum_index(static_cast<int>(first), 0, x.tiles);
  x.tokens = static_cast<int32_t>(count);
  return x;
}

bool are_alike(const PackedMatrix& a, const PackedMatrix& b) {
  return a.format == b.format && a.shape.cols == b.shape.cols && a.shape.group == b.shape.group &&
         a.shape.offset == b.shape.offset;
}

// Whether one launch and one epilogue can serve both calls.
bool can_fuse(const LinearCall& a, const LinearCall& b) {
  return are_alike(*a.weights, *b.weights) && a.epilogue.gate.matrix == nullptr && b.epilogue.gate.matrix == nullptr &&
         a.epilogue.add_to_y == b.epilogue.add_to_y && a.epilogue.cap == b.epilogue.cap && a.y.dtype == b.y.dtype;
}

// How many calls, from the first one on, are fused into one launch. Depends only on the model, because the number of
// fused rows fixes the number of k-splits and so the summation order.
size_t fused_calls(std::span<const LinearCall> calls) {
  size_t count = 1;
  while (count < calls.size() && count < kMaxFused && can_fuse(calls[0], calls[count])) ++count;
  return count;
}

// Whether the GEMM can write to y: a cap is applied there.
bool writes_to_y(const LinearCall& call) {
  const Epilogue& e = call.epilogue;
  return e.bias == nullptr && e.gate.matrix == nullptr && !e.add_to_y && call.y.dtype == DType::kF32;
}

// Calls fused into one launch: the rows of their matrices, or of one and its gate, lie side by side in the partials.
class FusedLinear {
 public:
  FusedLinear(std::span<const LinearCall> calls, int sm_count, Stream& stream)
      : calls_(calls), sm_count_(sm_count), stream_(stream) {
    for (const LinearCall& call : calls) add(*call.weights);
    if (calls[0].epilogue.gate.matrix != nullptr) add(*calls[0].epilogue.gate.matrix);
    k_splits_ = gemm::plan_k_splits(launch_of({}).row_blocks(), weights_[0].tiles, sm_count_);
  }

  // partials: room for `capacity` floats.
  void run(const Prepared& x, float* partials, int64_t capacity) const {
    GemmLaunch whole = launch_of(x);
    const gemm::Plan whole_plan = plan(whole);
    if (matrices_ == 1 && writes_to_y(calls_[0]) && whole_plan.split_partials == 1) {
      whole.out = static_cast<float*>(calls_[0].y.data);
      whole.out_stride = calls_[0].y.stride;
      multiply(whole, whole_plan);
      if (calls_[0].epilogue.cap != 0) finish(whole.out, 1, x.tokens, 0, whole.out_stride);
      return;
    }
    const int64_t fit = capacity / (rows_ * k_splits_) / kSliceTokens * kSliceTokens;
    HALFTONE_CHECK(fit > 0);
    for (int64_t first = 0; first < x.tokens; first += fit) {
      run_tokens(tokens_of(x, first, std::min<int64_t>(fit, x.tokens - first)), first, partials);
    }
  }

 private:
  void add(const PackedMatrix& matrix) {
    packed_[matrices_] = &matrix;
    weights_[matrices_++] = device_matrix(matrix);
    rows_ += matrix.shape.rows;
  }
  GemmLaunch launch_of(const Prepared& x) const {
    GemmLaunch p;
    std::copy(weights_, weights_ + matrices_, p.weights);
    p.matrices = matrices_;
    p.x = x;
    p.k_splits = k_splits_;
    return p;
  }
  gemm::Plan plan(const GemmLaunch& p) const {
    return gemm::plan_gemm(p.row_blocks(), p.x.tokens, p.k_splits, sm_count_);
  }

  // One kernel launch; two where a matrix and its gate are not alike.
  void multiply(GemmLaunch all, gemm::Plan plan) const {
    for (int first = 0, next = 0; first < matrices_; first = next) {
      GemmLaunch alike = all;
      alike.matrices = 0;
      while (next < matrices_ && are_alike(*packed_[first], *packed_[next])) {
        alike.weights[alike.matrices++] = weights_[next];
        all.out += weights_[next++].rows;
      }
      plan.row_blocks = alike.row_blocks();
      const CudaFormat& format = *find_cuda_format(*packed_[first]->format);
      stream_.check(format.multiply(alike, plan, stream_.get()), "linear");
    }
  }

  void run_tokens(const Prepared& x, int64_t first, float* partials) const {
    GemmLaunch p = launch_of(x);
    p.out = partials;
    p.out_stride = rows_;
    p.partial_stride = x.tokens * p.out_stride;
    const gemm::Plan cut = plan(p);
    multiply(p, cut);
    finish(partials, cut.split_partials, x.tokens, first, rows_);
  }

  // The epilogue of `tokens` tokens from `first` on. partials: [split_partials][tokens][partial_rows].
  void finish(const float* partials, int split_partials, int64_t tokens, int64_t first, int64_t partial_rows) const {
    const Epilogue& wanted = calls_[0].epilogue;
    EpilogueCall epilogue;
    epilogue.partials = partials;
    epilogue.split_partials = split_partials;
    epilogue.tokens = static_cast<int32_t>(tokens);
    epilogue.partial_rows = static_cast<int32_t>(partial_rows);
    epilogue.count = static_cast<int32_t>(calls_.size());
    epilogue.gated = wanted.gate.matrix != nullptr;
    epilogue.gate = wanted.gate.kind;
    if (wanted.gate.addend.data != nullptr) {
      epilogue.addend = rows_of(wanted.gate.addend, first, tokens).data;
      epilogue.addend_stride = wanted.gate.addend.stride;
    }
    epilogue.cap = wanted.cap;
    epilogue.add_to_y = wanted.add_to_y;
    for (size_t i = 0; i < calls_.size(); ++i) {
      const Tensor y = rows_of(calls_[i].y, first, tokens);
      epilogue.outputs[i] = {y.data, y.stride, calls_[i].epilogue.bias,
                             static_cast<int32_t>(calls_[i].weights->shape.rows)};
    }
    stream_.check(run_epilogue(epilogue, calls_[0].y.dtype, stream_.get()), "linear's epilogue");
  }

  std::span<const LinearCall> calls_;
  const PackedMatrix* packed_[kMaxFused] = {};
  DeviceMatrix weights_[kMaxFused];
  int32_t matrices_ = 0;
  int64_t rows_ = 0;
  int k_splits_ = 1;
  int sm_count_;
  Stream& stream_;
};

size_t aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }

}  // namespace

DeviceMatrix device_matrix(const PackedMatrix& m) {
  const PackedShape& s = m.shape;
  const PackedBytes block = find_cuda_format(*m.format)->block_bytes(s);
  DeviceMatrix out;
  out.codes = m.codes;
  out.scales = m.scales;
  out.block_codes = static_cast<uint32_t>(block.codes);
  out.block_scales = static_cast<uint32_t>(block.scales);
  out.rows = static_cast<int32_t>(s.rows);
  out.cols = static_cast<int32_t>(s.cols);
  out.group = s.group;
  out.tiles = static_cast<int32_t>(input_tiles(s));
  out.offset = s.offset;
  return out;
}

size_t linear_workspace(int64_t max_tokens, int64_t max_cols, int sm_count) {
  // Rows times k-splits: plan_k_splits doubles the splits only while there are too few CTAs to keep the SMs busy.
  const int64_t split_rows = int64_t{2 * gemm::kBusyCtasPerSm} * sm_count * kBlockRows;
  const int64_t tokens = std::max(max_tokens, kSliceTokens);
  const int64_t floats =
      std::max({tokens * 2 * max_cols, kSliceTokens * kMaxFused * max_cols, kSliceTokens * split_rows});
  return aligned(prepared_bytes(tokens, max_cols)) + static_cast<size_t>(floats) * sizeof(float);
}

void linear(std::span<const LinearCall> calls, const Workspace& workspace, int sm_count, Stream& stream) {
  const Tensor& x = calls[0].x;
  const size_t used = aligned(prepared_bytes(x.rows, x.cols));
  HALFTONE_CHECK(used <= workspace.bytes);
  Prepared prepared;
  stream.check(prepare(x, calls[0].rms_weight, calls[0].rms_epsilon, workspace.data, stream.get(), &prepared),
               "prepare");
  auto* partials = reinterpret_cast<float*>(workspace.data + used);
  const int64_t capacity = static_cast<int64_t>((workspace.bytes - used) / sizeof(float));
  for (size_t first = 0; first < calls.size();) {
    const size_t count = fused_calls(calls.subspan(first));
    FusedLinear(calls.subspan(first, count), sm_count, stream).run(prepared, partials, capacity);
    first += count;
  }
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
