// NVIDIA's cuBLASLt as the yardstick of our products: bf16 times bf16, float32 sums. Never a product of a mode
// (docs/KERNELS.md says why). The library is loaded at run time where there is one; nothing is linked against it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "kernels/contract/tensor.h"

namespace halftone {

// A product of one shape: y = x * transposed weights. Dies before its library.
class YardstickProduct {
 public:
  virtual ~YardstickProduct() = default;
  // Queues it on a cudaStream_t, which may be recording. Empty, or what went wrong.
  virtual std::string run(const void* weights, const void* x, void* y, void* stream) = 0;
};

// Engine thread only.
class Yardstick {
 public:
  virtual ~Yardstick() = default;
  virtual std::string_view name() const = 0;  // "libcublasLt.so.13"
  // For tensors of bf16 of these shapes and strides: weights [rows, cols], x [tokens, cols], y [tokens, rows]. The
  // workspace is the device's, for as long as the product is there. Null: *why.
  virtual std::unique_ptr<YardstickProduct> plan(const Tensor& weights, const Tensor& x, const Tensor& y,
                                                 std::span<std::byte> workspace, std::string* why) = 0;
};

// file: empty: by the library's usual names. Null: it cannot be used here, and *why says in one line what is missing.
std::unique_ptr<Yardstick> load_yardstick(const std::string& file, std::string* why);

}  // namespace halftone
