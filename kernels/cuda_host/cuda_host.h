// The machine behind device "cuda:host": what a test may choose about it and ask of it. CUDA kernels run on it by
// fibers, one for each CUDA thread, in the thread that waits for them. Any thread; one call at a time, the others wait.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace halftone::cuda_host {

struct Settings {
  uint64_t seed = 0;  // order among the CUDA threads that can run: 0 in turn, otherwise random, the same each time
  bool eager_copies = false;  // asynchronous copies happen as late as they may, or as early
  bool counters = false;      // count what kernels do; costs time
  int coresident_blocks = 1;  // blocks that are begun before one has ended, in ascending order
  size_t memory_bytes = size_t{4} << 30;
};

// What a graph takes of the device's memory for each of its operations, from its upload or first launch on.
constexpr size_t kGraphOperationBytes = 1536;

// Takes effect with the next launch that runs.
void configure(const Settings& settings);
Settings settings();

// What kernels did since reset_counters(). An operation of a warp counts one.
struct Counters {
  uint64_t launches = 0, blocks = 0;
  uint64_t barriers = 0;  // block and named barriers that were passed
  uint64_t shuffles = 0, votes = 0;
  uint64_t ldmatrix = 0, mma_bf16 = 0, mma_f16 = 0, mma_s8 = 0;
  uint64_t async_copy_bytes = 0;
  uint64_t global_load_bytes = 0, global_store_bytes = 0;
  // 32-byte sectors that the loads of each warp touched, and the fewest that could hold the same bytes.
  uint64_t global_load_sectors = 0, global_load_sectors_least = 0;
  // Passes over shared memory beyond the fewest, because lanes wanted different rows of one bank.
  uint64_t ldmatrix_conflicts = 0, shared_conflicts = 0;
  uint64_t shared_accesses = 0;
};
Counters counters();
void reset_counters();

// What went wrong in the kernel that made cudaErrorLaunchFailure; empty: nothing did.
std::string last_fault();

// Drops queued work and open captures and forgets errors, as a new process would. Memory stays.
void reset();

}  // namespace halftone::cuda_host
