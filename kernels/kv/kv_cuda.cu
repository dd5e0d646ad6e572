// The KV formats that have CUDA kernels.
#include "kernels/kv/kv16/kv16_cuda.h"
#include "kernels/kv/kv8/kv8_cuda.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

const CudaKvFormat* find_cuda_kv_format(const KvFormat& format) {
  for (const CudaKvFormat* one : {&kCudaKv16, &kCudaKv8}) {
    if (one->format == &format) return one;
  }
  return nullptr;
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
