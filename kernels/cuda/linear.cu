#include "kernels/cuda/linear.h"

#include <algorithm>

#include "kernels/contract/check.h"
#include "kernels/cuda/epilogue.h"
#include "kernels/cuda/prepare.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr int64_t kLeastTokens = 64;  // of one piece of a step; pieces begin at multiples of it

// Tokens [first, first + count) of what was prepared; first: of a block.
Prepared tokens_of(Prepared x, int64_t first, int64_t count) {
  x.x += prepared_place(static_cast<int>(first), 0, x.tiles);
  x.sums += sum_place(static_cast<int>(first), 0, x.tiles);
  x.tokens = static_cast<int32_t>(count);
  return x;
}

bool are_alike(const PackedMatrix& a, const PackedMatrix& b) {
  return a.format == b.format && a.shape.cols == b.shape.cols && a.shape.group == b.shape.group &&
         a.shape.offset == b.shape.offset;
}

// Whether one product and one epilogue can serve both.
bool can_join(const LinearCall& a, const LinearCall& b) {
  return are_alike(*a.weights, *b.weights) && a.epilogue.swiglu_up == nullptr && b.epilogue.swiglu_up == nullptr &&
         a.epilogue.add_to_y == b.epilogue.add_to_y && a.y.dtype == b.y.dtype;
}

// How many calls, from the first one on, are served at once. Of the model alone, as what is added up together depends
// on it.
size_t joined_calls(std::span<const LinearCall> calls) {
  size_t count = 1;
  while (count < calls.size() && count < kJoinedMost && can_join(calls[0], calls[count])) ++count;
  return count;
}

bool is_plain(const LinearCall& call) {
  const Epilogue& e = call.epilogue;
  return e.bias == nullptr && e.swiglu_up == nullptr && !e.add_to_y && call.y.dtype == DType::kF32;
}

// Calls that are served at once: their matrices, or the two of a SwiGLU, have their rows side by side in the product.
class JoinedLinear {
 public:
  JoinedLinear(std::span<const LinearCall> calls, int processors, Stream& stream)
      : calls_(calls), processors_(processors), stream_(stream) {
    for (const LinearCall& call : calls) add(*call.weights);
    if (calls[0].epilogue.swiglu_up != nullptr) add(*calls[0].epilogue.swiglu_up);
    pieces_ = product::plan_pieces(product({}).row_blocks(), weights_[0].tiles, processors_);
  }

  void run(const Prepared& x, float* products, int64_t capacity) const {
    Product whole = product(x);
    const product::Plan whole_plan = plan(whole);
    if (matrices_ == 1 && is_plain(calls_[0]) && whole_plan.parts == 1) {
      whole.out = static_cast<float*>(calls_[0].y.data);
      whole.out_stride = calls_[0].y.stride;
      return multiply(whole, whole_plan);
    }
    const int64_t fit = capacity / (rows_ * pieces_) / kLeastTokens * kLeastTokens;
    HALFTONE_CHECK(fit > 0);
    for (int64_t first = 0; first < x.tokens; first += fit) {
      run_tokens(tokens_of(x, first, std::min<int64_t>(fit, x.tokens - first)), first, products);
    }
  }

 private:
  void add(const PackedMatrix& matrix) {
    packed_[matrices_] = &matrix;
    weights_[matrices_++] = device_matrix(matrix);
    rows_ += matrix.shape.rows;
  }
  Product product(const Prepared& x) const {
    Product p;
    std::copy(weights_, weights_ + matrices_, p.weights);
    p.matrices = matrices_;
    p.x = x;
    p.pieces = pieces_;
    return p;
  }
  product::Plan plan(const Product& p) const {
    return product::plan_product(p.row_blocks(), p.x.tokens, p.pieces, processors_);
  }

  // One kernel; several where a SwiGLU's matrices are not alike.
  void multiply(Product all, product::Plan plan) const {
    for (int first = 0, next = 0; first < matrices_; first = next) {
      Product part = all;
      part.matrices = 0;
      while (next < matrices_ && are_alike(*packed_[first], *packed_[next])) {
        part.weights[part.matrices++] = weights_[next];
        all.out += weights_[next++].rows;
      }
      plan.row_blocks = part.row_blocks();
      const CudaFormat& format = *find_cuda_format(*packed_[first]->format);
      stream_.check(format.multiply(part, plan, stream_.get()), "linear");
    }
  }

  void run_tokens(const Prepared& x, int64_t first, float* products) const {
    Product p = product(x);
    p.out = products;
    p.out_stride = rows_;
    p.part_stride = x.tokens * p.out_stride;
    const product::Plan cut = plan(p);
    multiply(p, cut);
    EpilogueCall epilogue;
    epilogue.product = products;
    epilogue.parts = cut.parts;
    epilogue.tokens = x.tokens;
    epilogue.product_rows = static_cast<int32_t>(rows_);
    epilogue.count = static_cast<int32_t>(calls_.size());
    epilogue.swiglu = calls_[0].epilogue.swiglu_up != nullptr;
    epilogue.add_to_y = calls_[0].epilogue.add_to_y;
    for (size_t i = 0; i < calls_.size(); ++i) {
      const Tensor y = rows_of(calls_[i].y, first, x.tokens);
      epilogue.outputs[i] = {y.data, y.stride, calls_[i].epilogue.bias,
                             static_cast<int32_t>(calls_[i].weights->shape.rows)};
    }
    stream_.check(finish_product(epilogue, calls_[0].y.dtype, stream_.get()), "linear's epilogue");
  }

  std::span<const LinearCall> calls_;
  const PackedMatrix* packed_[kJoinedMost] = {};
  DeviceMatrix weights_[kJoinedMost];
  int32_t matrices_ = 0;
  int64_t rows_ = 0;
  int pieces_ = 1;
  int processors_;
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
  // Of all rows in pieces: blocks are doubled while they are fewer than would keep the processors busy.
  const int64_t split_rows = int64_t{2 * product::kBusyBlocks} * processors * kBlockRows;
  const int64_t tokens = std::max(max_tokens, kLeastTokens);
  const int64_t floats =
      std::max({tokens * 2 * max_cols, kLeastTokens * kJoinedMost * max_cols, kLeastTokens * split_rows});
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
  for (size_t first = 0; first < calls.size();) {
    const size_t count = joined_calls(calls.subspan(first));
    JoinedLinear(calls.subspan(first, count), processors, stream).run(prepared, products, capacity);
    first += count;
  }
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
