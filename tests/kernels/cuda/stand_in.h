// A cuBLASLt of some twelve functions on the host's memory, by the toolkit's header: what the yardstick's arguments say
// is what it does. HALFTONE_STAND_IN_FAILS names the function that answers with an error.
#pragma once

#include <cublasLt.h>

#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace halftone::stand_in {

struct Layout {
  cudaDataType type;
  uint64_t rows, cols;
  int64_t leading;
};
struct Operation {
  cublasComputeType_t compute;
  cudaDataType scale;
  cublasOperation_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
};
struct Preference {
  uint64_t workspace_bytes = 0;
};
struct Library {
  uint64_t algorithm = 0x0a15;  // what it chooses
};

inline cublasStatus_t answer(std::string_view function, bool valid = true) {
  const char* failing = std::getenv("HALFTONE_STAND_IN_FAILS");
  if (failing != nullptr && function == failing) return CUBLAS_STATUS_INTERNAL_ERROR;
  return valid ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

template <typename Object, typename Handle>
Object& object_of(Handle handle) {
  return *reinterpret_cast<Object*>(handle);
}

template <typename Object, typename Handle>
cublasStatus_t create(const char* function, Handle* handle, const Object& object) {
  const cublasStatus_t status = answer(function);
  if (status == CUBLAS_STATUS_SUCCESS) *handle = reinterpret_cast<Handle>(new Object(object));
  return status;
}

template <typename Object, typename Handle>
cublasStatus_t destroy(const char* function, Handle handle) {
  delete reinterpret_cast<Object*>(handle);
  return answer(function);
}

}  // namespace halftone::stand_in
