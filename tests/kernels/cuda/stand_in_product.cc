#include <algorithm>
#include <cstddef>
#include <utility>

#include "kernels/contract/numbers.h"
#include "tests/kernels/cuda/stand_in.h"

using namespace halftone::stand_in;

namespace {

// A matrix of the library's: a column after the other, `leading` values from one to the next.
struct View {
  const Layout& layout;
  cublasOperation_t operation;

  bool transposed() const { return operation == CUBLAS_OP_T; }
  uint64_t rows() const { return transposed() ? layout.cols : layout.rows; }
  uint64_t cols() const { return transposed() ? layout.rows : layout.cols; }
  size_t place(uint64_t row, uint64_t col) const {
    if (transposed()) std::swap(row, col);
    return col * static_cast<uint64_t>(layout.leading) + row;
  }
  bool possible() const {
    return layout.type == CUDA_R_16BF && static_cast<uint64_t>(layout.leading) >= layout.rows &&
           (operation == CUBLAS_OP_N || operation == CUBLAS_OP_T);
  }
};

struct Views {
  View a, b, d;

  Views(cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a_layout, cublasLtMatrixLayout_t b_layout,
        cublasLtMatrixLayout_t d_layout)
      : a{object_of<Layout>(a_layout), object_of<Operation>(operation).a},
        b{object_of<Layout>(b_layout), object_of<Operation>(operation).b},
        d{object_of<Layout>(d_layout), CUBLAS_OP_N} {}
  bool possible() const {
    return a.possible() && b.possible() && d.possible() && a.cols() == b.rows() && d.rows() == a.rows() &&
           d.cols() == b.cols();
  }
};

bool in_float(cublasLtMatmulDesc_t operation) {
  const Operation& asked = object_of<Operation>(operation);
  return asked.compute == CUBLAS_COMPUTE_32F && asked.scale == CUDA_R_32F;
}

uint64_t workspace_wanted = 0;

}  // namespace

extern "C" {
cudaStream_t stand_in_stream = nullptr;  // of the latest product
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t library, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int most,
                                              cublasLtMatmulHeuristicResult_t results[], int* count) {
  const bool valid = Views(operation, a, b, d).possible() && in_float(operation) && c == d && most >= 1;
  const cublasStatus_t status = answer(__func__, valid);
  *count = status == CUBLAS_STATUS_SUCCESS ? 1 : 0;
  if (*count == 0) return status;
  workspace_wanted = object_of<Preference>(preference).workspace_bytes;
  results[0] = {};
  results[0].algo.data[0] = object_of<Library>(library).algorithm;
  results[0].workspaceSize = workspace_wanted;
  results[0].state = CUBLAS_STATUS_SUCCESS;
  return status;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t library, cublasLtMatmulDesc_t operation, const void* alpha,
                              const void* a_values, cublasLtMatrixLayout_t a_layout, const void* b_values,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c_values,
                              cublasLtMatrixLayout_t c_layout, void* d_values, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace, size_t workspace_bytes,
                              cudaStream_t stream) {
  const Views views(operation, a_layout, b_layout, d_layout);
  const bool valid = views.possible() && in_float(operation) && c_values == d_values && c_layout == d_layout &&
                     algorithm->data[0] == object_of<Library>(library).algorithm && workspace_bytes >= workspace_wanted;
  const cublasStatus_t status = answer(__func__, valid);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  stand_in_stream = stream;
  std::fill_n(static_cast<std::byte*>(workspace), workspace_wanted, std::byte{0x5a});
  const auto *a = static_cast<const uint16_t*>(a_values), *b = static_cast<const uint16_t*>(b_values);
  auto* d = static_cast<uint16_t*>(d_values);
  const float by = *static_cast<const float*>(alpha), keep = *static_cast<const float*>(beta);
  for (uint64_t row = 0; row < views.d.rows(); ++row) {
    for (uint64_t col = 0; col < views.d.cols(); ++col) {
      float sum = 0;
      for (uint64_t k = 0; k < views.a.cols(); ++k) {
        sum += halftone::f32_from_bf16(a[views.a.place(row, k)]) * halftone::f32_from_bf16(b[views.b.place(k, col)]);
      }
      uint16_t& result = d[views.d.place(row, col)];
      // As the library has it: with nothing to keep, what was there does not count, even where it is no number.
      result = halftone::bf16_from_f32(by * sum + (keep == 0 ? 0 : keep * halftone::f32_from_bf16(result)));
    }
  }
  return status;
}
