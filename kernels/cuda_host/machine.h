// The machine that runs the blocks of a grid: CUDA threads as fibers, which meet in barriers and in their warps.
// Nothing in here owns memory on a fiber's stack across a wait: a fault leaves the fibers where they are. One thread at
// a time runs it, the one that holds the runtime's state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/cuda_host/accesses.h"
#include "kernels/cuda_host/async_copies.h"
#include "kernels/cuda_host/call_site.h"
#include "kernels/cuda_host/cuda_host.h"
#include "kernels/cuda_host/fiber.h"
#include "kernels/cuda_host/run_queue.h"
#include "kernels/cuda_host/shared_memory.h"
#include "kernels/cuda_host/thread.h"

namespace halftone::cuda_host::machine {

struct Block;

struct Warp {
  std::array<Thread*, kLanes> threads{};  // null beyond the block's last
  Ring<Thread*> ready{kLanes};            // that can run
  uint32_t live = 0;                      // lanes that have not exited
  // The meeting under way: who came, with what, where from.
  uint32_t met = 0;
  Meeting meeting = {};
  CallSite meeting_site;
  std::array<void*, kLanes> operands{};
  // The barrier that it arrives at: all of its live lanes, then the warp.
  uint32_t at_barrier = 0;
  int barrier = 0, barrier_threads = 0;
  CallSite barrier_site;
  Accesses accesses;
};

struct Barrier {
  int arrived = 0;  // threads, in whole warps
  int threads = 0;  // that it waits for; 0: all that are left
  std::vector<Thread*> waiting;
};

struct Thread {
  Coordinates coordinates;
  int lane = 0;
  Warp* warp = nullptr;
  Block* block = nullptr;
  const char* waits_in = nullptr;  // "a block barrier"
  CallSite site;                   // where it waits
  bool exited = false;
  bool parked = false;  // its fiber stands at the end of a kernel and goes on with the next
  AsyncCopies copies;
  Stack stack;
  Fiber fiber;
};

struct PhaseWait {  // for an mbarrier to leave a phase
  const uint64_t* mbarrier;
  Thread* thread;
};

struct BulkCopy {
  AsyncCopy copy;
  uint64_t* mbarrier;  // that counts its bytes
};

struct Block {
  SharedMemory shared;
  std::vector<std::unique_ptr<Thread>> pool;  // never smaller: fibers outlive their blocks
  std::span<const std::unique_ptr<Thread>> threads;
  std::vector<Warp> warps;
  std::array<Barrier, kBarriers> barriers;
  std::vector<PhaseWait> phase_waits;
  std::vector<BulkCopy> bulk_copies;  // that have not happened
  int live_threads = 0, live_warps = 0;
};

// A kernel's launch: body() is the kernel with its arguments.
struct Grid {
  Dim3 grid, block;
  size_t shared_bytes = 0;
  std::function<void()> body;
};

class Machine {
 public:
  static Machine& instance();

  // Runs all blocks. False: a fault, which `fault` explains.
  bool run(const Grid& grid);

  // -- for running threads

  // begin_wait(), what makes the thread ready sooner or later, wait(): it goes on when it is ready and its turn comes.
  void begin_wait(const char* waits_in, CallSite site);
  void make_ready(Thread* thread) { ready_.push(thread); }
  void wait();
  void end_turn() { ready_.interrupt(); }  // of the running warp
  void pause(CallSite site);
  [[noreturn]] void abandon();  // all threads

  Settings settings;
  Counters counters;
  std::string fault;
  Thread* running = nullptr;

 private:
  Machine() = default;
  size_t warps_in_block() const;
  void begin_blocks(const Grid& grid);
  void begin_block(Block& block, size_t number);
  void begin_thread(Block& block, size_t number, size_t colour);
  void end_block(Block& block);
  void run_blocks();
  void enter(Thread* thread);
  void leave();
  Thread* next_ready();
  [[noreturn]] static void run_thread();
  void exit_thread();

  const Grid* grid_ = nullptr;
  size_t next_block_ = 0, blocks_in_grid_ = 0;
  std::vector<std::unique_ptr<Block>> pool_;
  std::span<const std::unique_ptr<Block>> blocks_;  // the coresident ones
  RunQueue ready_;
  Fiber scheduler_;  // where run_blocks() stands
  Block* ended_ = nullptr;
  uint64_t pauses_ = 0;  // since anything else happened
};

// Lets the bulk copies of a block happen; false: there were none.
bool finish_bulk_copies(Block& block);

// Barriers wait for a thread that has exited no longer.
void leave_barriers(Thread& thread);

// Which threads wait where, once nobody can run.
std::string describe_deadlock(std::span<const std::unique_ptr<Block>> blocks);

}  // namespace halftone::cuda_host::machine
