// What a running CUDA thread asks of the machine: where it is, barriers, meetings of its warp, copies. The host twins
// of kernels/cuda/primitives call these; only from within a kernel.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda_host/call_site.h"

namespace halftone::cuda_host::machine {

struct Uint3 {
  unsigned x = 0, y = 0, z = 0;
};

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
  // NOLINTNEXTLINE(google-explicit-constructor): launches say 4 for {4, 1, 1}.
  constexpr Dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

constexpr size_t kSharedBytesMost = 163 * 1024;  // of a block on sm_80, which the machine says it is

struct Coordinates {
  Uint3 thread, block;
  Dim3 block_size, grid_size;
  std::byte* shared_memory = nullptr;  // aligned to 1024 bytes
};
inline const Coordinates* here = nullptr;  // of the thread that runs

// A fault of the kernel, in printf's format: the launch ends with it.
[[noreturn]] __attribute__((format(printf, 2, 3))) void fail(CallSite site, const char* format, ...);

// -- barriers -------------------------------------------------------------------------------------------------------

// As on the hardware, a warp arrives when all of its threads that have not exited are there. Barrier 0 is the block's
// and waits for every warp that is left; 1 to 15 wait for `threads` threads.
constexpr int kBarriers = 16;
void block_barrier(CallSite site);
void named_barrier(int id, int threads, CallSite site);

// Lets others run: for loops that wait for memory to change.
void pause(CallSite site);

// -- meetings of a warp ---------------------------------------------------------------------------------------------

enum class Meeting : uint8_t { kBarrier, kShuffle, kVote, kLdmatrix, kMmaBf16, kMmaF16, kMmaS8 };
constexpr int kLanes = 32;

// Every lane brings an operand; the last one to come computes for all, from operands[kLanes]. All of them must come.
using MeetingWork = void (*)(void* const* operands);
void meet(Meeting meeting, void* operand, MeetingWork work, CallSite site);

int lane();

// -- memory ---------------------------------------------------------------------------------------------------------

void copy_async(void* shared, const void* global, size_t bytes, bool valid, CallSite site);
void copy_async_commit();
void copy_async_wait(int groups_left);

// Faults, unless these bytes, aligned to their own size, are of this block's shared memory or of device memory.
void expect_shared(const void* address, size_t bytes, CallSite site);
void expect_global(const void* address, size_t bytes, CallSite site);

// Expects, and counts where that is asked for.
void read_global(const void* address, size_t bytes, CallSite site);
void write_global(const void* address, size_t bytes, CallSite site);
void access_shared(const void* address, size_t bytes, CallSite site);

}  // namespace halftone::cuda_host::machine
