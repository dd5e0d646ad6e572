#include "kernels/cuda/linear.h"

#include <algorithm>

#include "kernels/contract/check.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/prepare.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr int64_t kLeastTokens = 64;  // of one piece of a step; pieces begin at multiples of it

// Floats that one token's product takes at most: all pieces of the inputs, of both matrices of a SwiGLU.
int64_t floats_per_token(const LinearCall& call, int pieces) {
  return call.weights->shape.rows * pieces * (call.epilogue.swiglu_up != nullptr ? 2 : 1);
}

bool is_plain(const LinearCall& call) {
  const Epilogue& e = call.epilogue;
  return e.bias == nullptr && e.swiglu_up == nullptr && !e.add_to_y && call.y.dtype == DType::kF32;
}

// Tokens [first, first + count) of what was prepared; first: of a block.
Prepared tokens_of(Prepared x, int64_t first, int64_t count) {
  x.x += prepared_place(static_cast<int>(first), 0, x.tiles);
  x.sums += sum_place(static_cast<int>(first), 0, x.tiles);
  x.tokens = static_cast<int32_t>(count);
  return x;
}

class OneLinear {
 public:
  OneLinear(const LinearCall& call, int processors, Stream& stream)
      : call_(call),
        format_(*find_cuda_format(*call.weights->format)),
        weights_(device_matrix(*call.weights)),
        pieces_(format_.pieces(weights_, processors)),
        processors_(processors),
        stream_(stream) {}

  void run(const Prepared& x, float* products, int64_t capacity) const {
    Product whole = product(weights_, x);
    if (is_plain(call_) && format_.parts(whole) == 1) {
      whole.out = static_cast<float*>(call_.y.data);
      whole.out_stride = call_.y.stride;
      return multiply(whole);
    }
    const int64_t fit = capacity / floats_per_token(call_, pieces_) / kLeastTokens * kLeastTokens;
    HALFTONE_CHECK(fit > 0);
    for (int64_t first = 0; first < x.tokens; first += fit) {
      run_tokens(tokens_of(x, first, std::min<int64_t>(fit, x.tokens - first)), first, products);
    }
  }

 private:
  Product product(const DeviceMatrix& weights, const Prepared& x) const {
    Product p;
    p.weights = weights;
    p.x = x;
    p.pieces = pieces_;
    p.processors = processors_;
    return p;
  }
  void multiply(const Product& p) const { stream_.check(format_.multiply(p, stream_.get()), "linear"); }

  void run_tokens(const Prepared& x, int64_t first, float* products) const {
    Product p = product(weights_, x);
    const int parts = format_.parts(p);
    p.out = products;
    p.out_stride = weights_.rows;
    p.part_stride = x.tokens * p.out_stride;
    multiply(p);
    float* up = nullptr;
    if (call_.epilogue.swiglu_up != nullptr) {
      up = p.out = products + parts * p.part_stride;
      p.weights = device_matrix(*call_.epilogue.swiglu_up);
      multiply(p);
    }
    const Tensor y = rows_of(call_.y, first, x.tokens);
    const EpilogueCall epilogue{
        products, up, call_.epilogue.bias, parts, x.tokens, weights_.rows, call_.epilogue.add_to_y, y.data, y.stride};
    stream_.check(finish_product(epilogue, y.dtype, stream_.get()), "linear's epilogue");
  }

  const LinearCall& call_;
  const CudaFormat& format_;
  DeviceMatrix weights_;
  int pieces_, processors_;
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

size_t linear_workspace(int64_t max_tokens, int64_t max_cols, int processors) {
  // Of matrices in pieces: fewer blocks of rows than processors, of at most kMostPieces each.
  const int64_t split_rows = 2 * std::max<int64_t>(max_cols, int64_t{kProductParts} * processors * kBlockRows);
  const int64_t tokens = std::max(max_tokens, kLeastTokens);
  const int64_t floats = std::max(tokens * 2 * max_cols, kLeastTokens * split_rows);
  return aligned(prepared_bytes(tokens, max_cols)) + static_cast<size_t>(floats) * sizeof(float);
}

void linear(std::span<const LinearCall> calls, const Workspace& workspace, int processors, Stream& stream) {
  const Tensor& x = calls[0].x;
  const size_t used = aligned(prepared_bytes(x.rows, x.cols));
  HALFTONE_CHECK(used <= workspace.bytes);
  Prepared prepared;
  stream.check(prepare(x, calls[0].rms_weight, calls[0].rms_epsilon, workspace.data, stream.get(), &prepared),
               "prepare");
  auto* products = reinterpret_cast<float*>(workspace.data + used);
  const int64_t capacity = static_cast<int64_t>((workspace.bytes - used) / sizeof(float));
  for (const LinearCall& call : calls) OneLinear(call, processors, stream).run(prepared, products, capacity);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
