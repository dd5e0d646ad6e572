// The weight formats that have CUDA kernels.
#include "kernels/cuda/matrix.h"
#include "kernels/weights/bf16/bf16_cuda.h"
#include "kernels/weights/w4/w4_cuda.h"
#include "kernels/weights/w8/w8_cuda.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

std::span<const CudaFormat* const> all_cuda_formats() {
  static constexpr const CudaFormat* kFormats[] = {&kCudaBf16, &kCudaW8, &kCudaW4};
  return kFormats;
}

const CudaFormat* find_cuda_format(const WeightFormat& format) {
  for (const CudaFormat* one : all_cuda_formats()) {
    if (one->format == &format) return one;
  }
  return nullptr;
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
