#include "kernels/cuda_host/machine.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <utility>

#include "kernels/contract/check.h"

namespace halftone::cuda_host::machine {

namespace {

constexpr uint64_t kPausesMost = 1'000'000;  // in a row, while nothing else happens

Uint3 coordinates(size_t number, Dim3 size) {
  return {static_cast<unsigned>(number % size.x), static_cast<unsigned>(number / size.x % size.y),
          static_cast<unsigned>(number / size.x / size.y)};
}

size_t volume(Dim3 size) { return size_t{size.x} * size.y * size.z; }

}  // namespace

Machine& Machine::instance() {
  static auto* machine = new Machine;  // never destroyed: tests may end with kernels on it
  return *machine;
}

bool Machine::run(const Grid& grid) {
  fault.clear();
  scheduler_.adopt();
  begin_blocks(grid);
  run_blocks();
  here = nullptr;
  running = nullptr;
  return fault.empty();
}

void Machine::begin_blocks(const Grid& grid) {
  grid_ = &grid;
  next_block_ = 0;
  blocks_in_grid_ = volume(grid.grid);
  const size_t coresident = std::min(blocks_in_grid_, static_cast<size_t>(settings.coresident_blocks));
  while (pool_.size() < coresident) pool_.push_back(std::make_unique<Block>());
  blocks_ = std::span(pool_).first(coresident);
  ++counters.launches;
  ready_.begin(coresident * warps_in_block(), settings.seed);
  ended_ = nullptr;
  for (const auto& block : blocks_) begin_block(*block, next_block_++);
}

size_t Machine::warps_in_block() const { return (volume(grid_->block) + kLanes - 1) / kLanes; }

void Machine::begin_block(Block& block, size_t number) {
  const size_t threads = volume(grid_->block);
  ++counters.blocks;
  block.shared.begin(grid_->shared_bytes);
  block.warps.assign(warps_in_block(), Warp{});
  block.barriers = {};
  block.phase_waits.clear();
  block.bulk_copies.clear();
  block.live_threads = static_cast<int>(threads);
  block.live_warps = static_cast<int>(block.warps.size());
  while (block.pool.size() < threads) block.pool.push_back(std::make_unique<Thread>());
  block.threads = std::span(block.pool).first(threads);
  for (size_t thread = 0; thread < threads; ++thread) begin_thread(block, thread, thread + number);
  for (const auto& thread : block.threads) {
    thread->coordinates.block = coordinates(number, grid_->grid);
    ready_.push(thread.get());
  }
}

void Machine::begin_thread(Block& block, size_t number, size_t colour) {
  Thread& thread = *block.threads[number];
  thread.coordinates = {coordinates(number, grid_->block), {}, grid_->block, grid_->grid, block.shared.data()};
  thread.lane = static_cast<int>(number % kLanes);
  thread.warp = &block.warps[number / kLanes];
  thread.warp->live |= 1u << thread.lane;
  thread.warp->threads[number % kLanes] = &thread;
  thread.block = &block;
  thread.exited = false;
  thread.copies.clear();
  if (!std::exchange(thread.parked, false)) thread.fiber.begin(thread.stack, colour, &Machine::run_thread);
}

void Machine::end_block(Block& block) {
  for (Warp& warp : block.warps) warp.accesses.finish(counters);
  const char* wrong = !block.shared.ends_untouched() ? "wrote outside of its shared memory"
                      : !block.bulk_copies.empty()   ? "ended before its bulk copies did"
                                                     : nullptr;
  if (wrong == nullptr) return;
  const Uint3 index = block.threads.front()->coordinates.block;
  char text[160];
  std::snprintf(text, sizeof text, "block (%u, %u, %u) %s", index.x, index.y, index.z, wrong);
  fault = text;
}

void Machine::run_blocks() {
  size_t left = blocks_in_grid_;
  while (left > 0 && fault.empty()) {
    Thread* next = next_ready();
    if (next == nullptr) {
      fault = describe_deadlock(blocks_);
      return;
    }
    enter(next);  // until a block has ended, nobody can run, or there is a fault
    if (ended_ == nullptr) continue;
    Block& ended = *std::exchange(ended_, nullptr);
    end_block(ended);
    --left;
    if (next_block_ < blocks_in_grid_ && fault.empty()) begin_block(ended, next_block_++);
  }
}

// Bulk copies happen when nothing else can.
Thread* Machine::next_ready() {
  Thread* next = ready_.pop();
  if (next != nullptr) return next;
  for (const auto& block : blocks_) {
    if (finish_bulk_copies(*block)) next = ready_.pop();
    if (next != nullptr) return next;
  }
  return nullptr;
}

void Machine::enter(Thread* thread) {
  running = thread;
  here = &thread->coordinates;
  Fiber::change(scheduler_, thread->fiber);
}

// From thread to thread, by way of the scheduler only where it has something to do.
void Machine::leave() {
  Thread* from = running;
  Thread* next = ended_ != nullptr || !fault.empty() ? nullptr : next_ready();
  if (next == from) return;
  if (next == nullptr) {
    Fiber::change(from->fiber, scheduler_);
  } else {
    running = next;
    here = &next->coordinates;
    Fiber::change(from->fiber, next->fiber);
  }
}

void Machine::begin_wait(const char* waits_in, CallSite site) {
  running->waits_in = waits_in;
  running->site = site;
}

void Machine::wait() {
  pauses_ = 0;
  leave();
}

void Machine::pause(CallSite site) {
  if (++pauses_ > kPausesMost) {
    fail(site, "every thread that can run waits in a loop for memory that nobody changes");
  }
  make_ready(running);
  end_turn();
  leave();
}

void Machine::run_thread() {
  Machine& machine = instance();
  while (true) {
    machine.grid_->body();
    machine.exit_thread();
  }
}

void Machine::exit_thread() {
  pauses_ = 0;
  Thread& thread = *running;
  thread.exited = true;
  if (--thread.block->live_threads == 0) ended_ = thread.block;
  leave_barriers(thread);
  thread.parked = true;
  leave();
}

void Machine::abandon() {
  leave();
  HALFTONE_CHECK(false);  // nobody enters a thread again
}

void fail(CallSite site, const char* format, ...) {
  Machine& machine = Machine::instance();
  char what[400], text[800];
  va_list values;
  va_start(values, format);
  std::vsnprintf(what, sizeof what, format, values);
  va_end(values);
  const Coordinates& at = machine.running->coordinates;
  std::snprintf(text, sizeof text, "%s:%d: %s; thread (%u, %u, %u) of block (%u, %u, %u)", site.file, site.line, what,
                at.thread.x, at.thread.y, at.thread.z, at.block.x, at.block.y, at.block.z);
  machine.fault = text;
  machine.abandon();
}

void pause(CallSite site) { Machine::instance().pause(site); }

int lane() { return Machine::instance().running->lane; }

}  // namespace halftone::cuda_host::machine
