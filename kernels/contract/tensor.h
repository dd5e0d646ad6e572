// A view of a matrix on one device. Owns nothing; copying it copies the view.
#pragma once

#include <cstddef>
#include <cstdint>

namespace halftone {

enum class DType : uint8_t { kF32, kF16, kBF16, kS8 };

constexpr size_t dtype_bytes(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 4;
    case DType::kF16:
    case DType::kBF16:
      return 2;
    case DType::kS8:
      return 1;
  }
  return 0;
}

// [rows, cols], row after row; `stride` elements from one row to the next.
struct Tensor {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;

  float* f32(int64_t row = 0) const { return static_cast<float*>(data) + row * stride; }
};

inline Tensor tensor_of(void* data, DType dtype, int64_t rows, int64_t cols) { return {data, dtype, rows, cols, cols}; }
inline Tensor f32_tensor(float* data, int64_t rows, int64_t cols) { return tensor_of(data, DType::kF32, rows, cols); }

// Rows [first, first + count) of a tensor.
inline Tensor rows_of(Tensor t, int64_t first, int64_t count) {
  t.data = static_cast<std::byte*>(t.data) + static_cast<size_t>(first * t.stride) * dtype_bytes(t.dtype);
  t.rows = count;
  return t;
}

}  // namespace halftone
