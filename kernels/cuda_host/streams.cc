// Streams, events, graphs and launches.
#include "kernels/cuda_host/device_memory.h"
#include "kernels/cuda_host/launch.h"
#include "kernels/cuda_host/machine.h"
#include "kernels/cuda_host/runtime.h"
#include "kernels/cuda_host/runtime_state.h"

using namespace halftone::cuda_host::machine;

namespace {

template <typename T, typename... From>
cudaError_t create(T** object, const From&... from) {
  const Locked state;
  const cudaError_t error = state->answer(cudaSuccess);
  *object = error == cudaSuccess ? new T(from...) : nullptr;
  return error;
}

// The device's memory for it, the first time.
cudaError_t hold_memory(ExecutableGraph& graph) {
  const size_t bytes = graph.operations.size() * halftone::cuda_host::kGraphOperationBytes;
  if (graph.device_bytes == bytes) return cudaSuccess;
  if (!DeviceMemory::instance().hold(bytes)) return cudaErrorMemoryAllocation;
  graph.device_bytes = bytes;
  return cudaSuccess;
}

}  // namespace

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return create(stream); }

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Locked state;
  if (stream == nullptr) return state->answer(cudaErrorInvalidResourceHandle);
  state->end_capture(*stream);
  const cudaError_t error = state->finish(stream);
  if (error != cudaErrorStreamCaptureUnsupported) delete stream;
  return error;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const Locked state;
  return state->finish(stream);
}

cudaError_t cudaDeviceSynchronize() {
  const Locked state;
  return state->finish_all();
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return create(event); }

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Locked state;
  return state->record(*event, stream);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const Locked state;
  if (event == nullptr) return state->answer(cudaErrorInvalidResourceHandle);
  if (event->recorded == 0 || event->happened) return state->answer(cudaSuccess);
  return state->finish(event->stream, event->recorded);
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  const Locked state;
  if (begin->recorded == 0 || end->recorded == 0) return state->answer(cudaErrorInvalidValue);
  if (!begin->happened || !end->happened) return state->answer(cudaErrorNotReady);
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return state->answer(cudaSuccess);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const cudaError_t error = cudaEventSynchronize(event);
  if (error != cudaErrorStreamCaptureUnsupported) delete event;
  return error;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode /*mode*/) {
  const Locked state;
  if (stream == nullptr) return state->answer(cudaErrorStreamCaptureUnsupported);
  return state->begin_capture(*stream);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const Locked state;
  *graph = stream == nullptr ? nullptr : state->end_capture(*stream).release();
  return state->answer(*graph == nullptr ? cudaErrorInvalidValue : cudaSuccess);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long /*flags*/) {
  return create(executable, ExecutableGraph{graph->operations});
}

cudaError_t cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t /*stream*/) {
  const Locked state;
  return state->answer(hold_memory(*executable));
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  const Locked state;
  if (cudaError_t error = state->answer(hold_memory(*executable)); error != cudaSuccess) return error;
  for (const Operation& operation : executable->operations) {
    if (cudaError_t error = state->add(stream, operation); error != cudaSuccess) return error;
  }
  return state->answer(cudaSuccess);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  const Locked state;
  delete graph;
  return state->answer(cudaSuccess);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  const Locked state;
  if (executable != nullptr) DeviceMemory::instance().let_go(executable->device_bytes);
  delete executable;
  return state->answer(cudaSuccess);
}

namespace halftone::cuda_host::machine {

namespace {

constexpr size_t kThreadsMost = 1024;  // of a block
constexpr unsigned kGridYzMost = 65535;

bool possible(Dim3 grid, Dim3 block, size_t shared_bytes) {
  const size_t threads = size_t{block.x} * block.y * block.z;
  return threads > 0 && threads <= kThreadsMost && block.z <= 64 && grid.x > 0 && grid.y > 0 && grid.z > 0 &&
         grid.y <= kGridYzMost && grid.z <= kGridYzMost && shared_bytes <= kSharedBytesMost;
}

}  // namespace

cudaError_t launch(Dim3 grid, Dim3 block, size_t shared_bytes, std::function<void()> body, Stream* stream) {
  const Locked state;
  if (!possible(grid, block, shared_bytes)) return state->answer(cudaErrorInvalidConfiguration);
  Grid whole{grid, block, shared_bytes, std::move(body)};
  return state->add(stream, {[whole = std::move(whole)] { Machine::instance().run(whole); }, {}, {}});
}

}  // namespace halftone::cuda_host::machine
