#include "kernels/cuda/primitives/atomic.h"
#include "kernels/cuda/primitives/barriers.h"
#include "kernels/cuda/primitives/copy.h"
#include "kernels/cuda/primitives/memory.h"
#include "tests/kernels/cuda/primitives/probe_kernel.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr unsigned kThreads = 64;
constexpr unsigned kWords = 4;  // in 16 bytes

// Two pieces of 16 bytes in a group each, valid or not; the first is read by its own thread while the second may be on
// its way, the second by another. in: both pieces, control, three unused
HALFTONE_KERNEL void copy_async(uint32_t* out, const uint32_t* in) {
  uint32_t* shared = dynamic_shared<uint32_t>();
  uint32_t* to = shared + threadIdx.x * 2 * kWords;
  const uint32_t* mine = in + probe_thread() * 3 * kWords;
  const uint32_t control = mine[2 * kWords];
  for (unsigned i = 0; i < 2 * kWords; ++i) to[i] = ~0u;
  block_barrier();
  for (unsigned piece = 0; piece < 2; ++piece) {
    cp_async_16(to + piece * kWords, mine + piece * kWords, (control >> piece & 1) != 0);
    cp_async_commit();
  }
  uint32_t* results = out + probe_thread() * 2 * kWords;
  cp_async_wait<1>();
  for (unsigned i = 0; i < kWords; ++i) results[i] = to[i];
  cp_async_wait<0>();
  block_barrier();
  const uint32_t* other = shared + (control >> 8) % kThreads * 2 * kWords + kWords;
  for (unsigned i = 0; i < kWords; ++i) results[kWords + i] = other[i];
}

struct Bytes8 {
  uint32_t x, y;
};

// From another thread's 16 bytes, through shared memory in all three widths, to 32 bytes of its own.
// in: 16 bytes, control, three unused
HALFTONE_KERNEL void wide_memory(uint32_t* out, const uint32_t* in) {
  Bytes16* wide = dynamic_shared<Bytes16>();
  auto* pairs = reinterpret_cast<Bytes8*>(wide + kThreads);
  auto* words = reinterpret_cast<uint32_t*>(pairs + kThreads);
  const uint32_t control = in[probe_thread() * 2 * kWords + kWords];
  const uint32_t* of_block = in + blockIdx.x * kThreads * 2 * kWords;
  const Bytes16 value = load_16(of_block + control % kThreads * 2 * kWords);
  const Bytes16 once = load_16_once(of_block + (control >> 8) % kThreads * 2 * kWords);
  store_shared(wide + threadIdx.x, value);
  store_shared(pairs + threadIdx.x, {once.x, once.y});
  store_shared(words + threadIdx.x, once.z ^ once.w);
  block_barrier();
  const unsigned other = (control >> 16) % kThreads;
  const Bytes8 pair = load_shared(pairs + other);
  store_16(out + probe_thread() * 2 * kWords, load_shared(wide + other));
  store_16(out + probe_thread() * 2 * kWords + kWords, {pair.x, pair.y, load_shared(words + other), once.w});
}

// Sums do not depend on order, and every ticket is drawn once. For four blocks:
//   uint32_t tickets[4][64], global_sums[32], wrapping_sums[32], shared_sums[4][32]
HALFTONE_KERNEL void atomics(uint32_t* out, const uint32_t* in) {
  constexpr unsigned kSums = 32, kBlocks = 4;
  int32_t* sums = dynamic_shared<int32_t>();
  int32_t* next_ticket = sums + kSums;
  if (threadIdx.x <= kSums) sums[threadIdx.x] = 0;
  block_barrier();
  const uint32_t word = in[probe_thread()], place = word % kSums;
  shared_add(sums + place, static_cast<int32_t>(word) >> 20);
  const auto ticket = static_cast<uint32_t>(shared_add(next_ticket, 1));
  out[blockIdx.x * kThreads + ticket % kThreads] += 7 * ticket + 1;
  uint32_t* global = out + kBlocks * kThreads;
  global_add(reinterpret_cast<int32_t*>(global + place), static_cast<int32_t>(word) >> 16);
  atomic_add(global + kSums + place, word);
  block_barrier();
  if (threadIdx.x < kSums) {
    global[(2 + blockIdx.x) * kSums + threadIdx.x] = static_cast<uint32_t>(sums[threadIdx.x]);
  }
}

// Each block goes on from what the one before it left. out: [blocks][64], then the number of blocks that are done
HALFTONE_KERNEL void acquire_release(uint32_t* out, const uint32_t* in) {
  uint32_t* done = out + gridDim.x * kThreads;
  if (threadIdx.x == 0) {
    while (load_acquire(done) != blockIdx.x) pause();
  }
  block_barrier();
  const uint32_t before = blockIdx.x == 0 ? 0 : out[(blockIdx.x - 1) * kThreads + (threadIdx.x + 1) % kThreads];
  out[probe_thread()] = before * 3 + in[probe_thread()];
  block_barrier();
  if (threadIdx.x == 0) store_release(done, blockIdx.x + 1);
}

// The last block to come adds up what all have left. out: [blocks][64], then how many came, then [63] of the sums
HALFTONE_KERNEL void last_block(uint32_t* out, const uint32_t* in) {
  uint32_t* order = dynamic_shared<uint32_t>();
  uint32_t* came = out + gridDim.x * kThreads;
  out[probe_thread()] = in[probe_thread()] * 5 + blockIdx.x;
  device_fence();
  block_barrier();
  if (threadIdx.x == 0) store_shared(order, atomic_add(came, 1));
  block_barrier();
  if (load_shared(order) + 1 != gridDim.x) return;
  device_fence();
  uint32_t sum = 0;
  for (unsigned block = 0; block < gridDim.x; ++block) sum = sum * 3 + out[block * kThreads + threadIdx.x];
  if (threadIdx.x > 0) came[threadIdx.x] = sum;
}

// Two pairs of warps play ball, each pair by a barrier of its own.
HALFTONE_KERNEL void named_barriers(uint32_t* out, const uint32_t* in) {
  constexpr int kPair = 64, kRounds = 4;
  uint32_t* balls = dynamic_shared<uint32_t>();
  const unsigned pair = threadIdx.x / kPair, lane = threadIdx.x % 32;
  uint32_t* mine = balls + pair * 32;
  const bool first = threadIdx.x % kPair < 32;
  const int id = static_cast<int>(pair) + 1;
  uint32_t value = in[probe_thread()];
  for (int round = 0; round < kRounds; ++round) {
    if (first) mine[lane] = value;
    named_barrier(id, kPair);
    if (!first) value = value * 3 + mine[(lane + 1) % 32];
    named_barrier(id, kPair);
    if (!first) mine[lane] = value;
    named_barrier(id, kPair);
    if (first) value = value * 5 + mine[(lane + 7) % 32];
    named_barrier(id, kPair);
  }
  block_barrier();
  balls[threadIdx.x] = value;
  warp_barrier();
  out[probe_thread()] = balls[threadIdx.x - lane + 31 - lane];
}

}  // namespace

std::vector<ProbeKernel> memory_probes() {
  return {{"copy_async", copy_async, kThreads, 3 * kWords, 2 * kWords, kThreads * 32},
          {"wide_memory", wide_memory, kThreads, 2 * kWords, 2 * kWords, kThreads * (16 + 8 + 4)},
          {"atomics", atomics, kThreads, 1, 2, 33 * 4},
          {"acquire_release", acquire_release, kThreads, 1, 2},
          {"last_block", last_block, kThreads, 1, 2, 4},
          {"named_barriers", named_barriers, 128, 1, 1, 128 * 4}};
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
