#include <cstring>

#include "tests/kernels/cuda/stand_in.h"

using namespace halftone::stand_in;

cublasStatus_t cublasLtCreate(cublasLtHandle_t* library) { return create(__func__, library, Library{}); }

cublasStatus_t cublasLtDestroy(cublasLtHandle_t library) { return destroy<Library>(__func__, library); }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* operation, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  return create(__func__, operation, Operation{compute, scale});
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  auto& [compute, scale, a, b] = object_of<Operation>(operation);
  const bool known = attribute == CUBLASLT_MATMUL_DESC_TRANSA || attribute == CUBLASLT_MATMUL_DESC_TRANSB;
  if (!known || bytes != sizeof a) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(attribute == CUBLASLT_MATMUL_DESC_TRANSA ? &a : &b, value, bytes);
  return answer(__func__);
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation) {
  return destroy<Operation>(__func__, operation);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows,
                                          uint64_t cols, int64_t leading) {
  return create(__func__, layout, Layout{type, rows, cols, leading});
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) { return destroy<Layout>(__func__, layout); }

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return create(__func__, preference, Preference{});
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    size_t bytes) {
  uint64_t& workspace_bytes = object_of<Preference>(preference).workspace_bytes;
  if (attribute != CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES || bytes != sizeof workspace_bytes) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  std::memcpy(&workspace_bytes, value, bytes);
  return answer(__func__);
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  return destroy<Preference>(__func__, preference);
}
