// The CUDA side of a KV format.
#pragma once

#include "kernels/contract/kv_format.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/rope_store.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

struct CudaKvFormat {
  const KvFormat* format = nullptr;
  cudaError_t (*rope_store)(const DeviceRope& call, const DeviceKv& kv, const DeviceBatch& batch,
                            cudaStream_t stream) = nullptr;
  cudaError_t (*attention)(const DeviceAttention& call, const DeviceKv& kv, const DeviceBatch& batch,
                           cudaStream_t stream) = nullptr;
};

// kernels/kv/kv_cuda.cu has the list. Null: none on this device.
const CudaKvFormat* find_cuda_kv_format(const KvFormat& format);

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
