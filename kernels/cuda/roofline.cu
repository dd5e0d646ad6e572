#include "kernels/cuda/roofline.h"

#include <algorithm>

#include "kernels/cuda/primitives/matrix.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;
constexpr int kChains = 8;  // of products that depend on each other, side by side
constexpr int kTries = 3;
// What is measured grows until it takes so long that its launch does not count.
constexpr double kLeastSeconds = 250e-6;
constexpr int kRoundsLeast = 32, kRoundsMost = 1 << 16;
constexpr size_t kCopyLeast = size_t{64} << 20, kCopyMost = size_t{1} << 30;

struct Bf16Mma {
  using Sum = float;
  static constexpr double kOperations = 2.0 * 16 * 8 * 16;
  HALFTONE_DEVICE static void run(Sum (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    mma_bf16_16816(c, a, b);
  }
};
struct S8Mma {
  using Sum = int32_t;
  static constexpr double kOperations = 2.0 * 16 * 8 * 32;
  HALFTONE_DEVICE static void run(Sum (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    mma_s8_16832(c, a, b);
  }
};

// Nothing but products on registers. The sums go out so that no compiler leaves them out.
template <typename Mma>
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 2) mma_rate_kernel(typename Mma::Sum* out, int rounds) {
  typename Mma::Sum sums[kChains][4] = {};
  const uint32_t a[4] = {threadIdx.x, 1, 2, 3};
  for (int round = 0; round < rounds; ++round) {
    HALFTONE_UNROLL
    for (uint32_t chain = 0; chain < kChains; ++chain) {
      const uint32_t b[2] = {threadIdx.x, chain};  // no two chains alike, or a compiler makes them one
      Mma::run(sums[chain], a, b);
    }
  }
  typename Mma::Sum all = 0;
  for (int chain = 0; chain < kChains; ++chain) all = all + sums[chain][0] + sums[chain][3];
  out[blockIdx.x * kThreads + threadIdx.x] = all;
}

// Runs the work kTries times; the least seconds that it took on the device.
template <typename Work>
double time_of(Stream& stream, const Work& work) {
  cudaEvent_t begin = nullptr, end = nullptr;
  stream.check(cudaEventCreate(&begin), "cudaEventCreate");
  stream.check(cudaEventCreate(&end), "cudaEventCreate");
  float best = 0;
  for (int i = 0; i < kTries && stream.ok(); ++i) {
    float milliseconds = 0;
    stream.check(cudaEventRecord(begin, stream.get()), "cudaEventRecord");
    stream.check(work(), "measuring the GPU's roofline");
    stream.check(cudaEventRecord(end, stream.get()), "cudaEventRecord");
    stream.synchronize();
    stream.check(cudaEventElapsedTime(&milliseconds, begin, end), "cudaEventElapsedTime");
    best = i == 0 ? milliseconds : std::min(best, milliseconds);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return static_cast<double>(best) * 1e-3;
}

template <typename Mma>
double operations_per_second(int sm_count, Stream& stream) {
  const unsigned blocks = static_cast<unsigned>(2 * sm_count);  // two resident CTAs for each SM
  const LaunchShape shape{dim3(blocks), dim3(kThreads), 0, stream.get()};
  void* out = nullptr;
  if (cudaMalloc(&out, size_t{blocks} * kThreads * sizeof(typename Mma::Sum)) != cudaSuccess) return 0;
  double rate = 0, seconds = 0;
  for (int rounds = kRoundsLeast; seconds < kLeastSeconds && rounds <= kRoundsMost && stream.ok(); rounds *= 4) {
    seconds = time_of(
        stream, [&] { return launch(mma_rate_kernel<Mma>, shape, static_cast<typename Mma::Sum*>(out), rounds); });
    if (seconds > 0) rate = Mma::kOperations * blocks * kWarps * rounds * kChains / seconds;
  }
  cudaFree(out);
  return rate;
}

// Of a copy within the GPU's memory: bytes read plus bytes written.
double bytes_per_second(Stream& stream) {
  double rate = 0, seconds = 0;
  for (size_t bytes = kCopyLeast; seconds < kLeastSeconds && bytes <= kCopyMost && stream.ok(); bytes *= 2) {
    void* memory = nullptr;
    if (cudaMalloc(&memory, 2 * bytes) != cudaSuccess) break;
    auto* to = static_cast<std::byte*>(memory);
    seconds =
        time_of(stream, [&] { return cudaMemcpyAsync(to, to + bytes, bytes, cudaMemcpyDeviceToDevice, stream.get()); });
    if (seconds > 0) rate = 2.0 * static_cast<double>(bytes) / seconds;
    cudaFree(memory);
  }
  cudaGetLastError();  // no memory for more is no error
  return rate;
}

}  // namespace

DeviceRoofline measure_roofline(int sm_count, Stream& stream) {
  DeviceRoofline roofline;
  const double s8 = operations_per_second<S8Mma>(sm_count, stream);
  roofline.operations_per_second[static_cast<int>(Arithmetic::kF32)] = operations_per_second<Bf16Mma>(sm_count, stream);
  roofline.operations_per_second[static_cast<int>(Arithmetic::kS8)] = s8;
  roofline.operations_per_second[static_cast<int>(Arithmetic::kU4)] = s8;  // 4-bit codes go through the int8 units
  roofline.bytes_per_second = bytes_per_second(stream);
  return roofline;
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
