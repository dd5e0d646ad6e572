// The state behind the runtime's functions: the queue, captures, errors.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "kernels/cuda_host/runtime.h"
#include "kernels/cuda_host/work_queue.h"

namespace halftone::cuda_host::machine {

struct Graph {
  std::vector<Operation> operations;
};

struct ExecutableGraph {
  std::vector<Operation> operations;
  size_t device_bytes = 0;  // that it holds: none until it is uploaded or launched
};

class Stream {
 public:
  std::unique_ptr<Graph> capture;  // where operations go while it is there
};

struct Event {
  const Stream* stream = nullptr;
  uint64_t recorded = 0;  // number of the latest record in the queue; 0: never
  bool happened = false;  // that record
  std::chrono::steady_clock::time_point time;
};

class RuntimeState {
 public:
  // A result as the caller gets it: errors are remembered for cudaGetLastError, and a kernel's fault is the answer to
  // everything that comes after.
  cudaError_t answer(cudaError_t error);
  cudaError_t take_last_error();

  cudaError_t add(Stream* stream, Operation operation);
  cudaError_t record(Event& event, Stream* stream);
  // Each lets work happen; refused while a capture is open.
  cudaError_t finish(const Stream* stream, uint64_t until = WorkQueue::kAll);
  cudaError_t finish_all();

  cudaError_t begin_capture(Stream& stream);
  std::unique_ptr<Graph> end_capture(Stream& stream);  // null: there was none
  bool capturing() const { return !capturing_.empty(); }
  void reset();

 private:
  friend class Locked;
  RuntimeState() = default;
  cudaError_t finished();

  WorkQueue queue_;
  std::vector<Stream*> capturing_;
  cudaError_t last_error_ = cudaSuccess;
};

// The state, for one call at a time: who has it may use the machine and the device's memory, too.
class Locked {
 public:
  RuntimeState* operator->() const { return &state(); }

 private:
  static RuntimeState& state();
  static std::recursive_mutex& mutex();  // some calls are made of others

  std::lock_guard<std::recursive_mutex> lock_{mutex()};
};

}  // namespace halftone::cuda_host::machine
