#include "kernels/cuda/graphs.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

MemoryTag tag() { return {"graphs", MemoryCategory::kGraphs}; }

}  // namespace

void Graphs::run(const Key& key, const std::function<void()>& work) {
  if (!stream_.ok()) return;
  auto found = graphs_.find(key);
  if (found == graphs_.end()) {
    if (graphs_.size() == kMost) clear();
    const Recorded recorded = record(work);
    if (recorded.executable == nullptr) return;
    found = graphs_.emplace(key, recorded).first;
    if (!stream_.ok()) return;
  }
  stream_.check(cudaGraphLaunch(found->second.executable, stream_.get()), "replaying a step");
}

Graphs::Recorded Graphs::record(const std::function<void()>& work) {
  cudaGraph_t graph = nullptr;
  if (!stream_.check(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal), "recording a step")) {
    return {};
  }
  work();
  stream_.check(cudaStreamEndCapture(stream_.get(), &graph), "recording a step");
  Recorded recorded;
  if (stream_.ok()) recorded = instantiate(graph);
  if (graph != nullptr) cudaGraphDestroy(graph);
  return recorded;
}

// Nobody says what a graph takes of the device's memory, so it is what the device has less afterwards. The upload comes
// before the first replay, which would otherwise take memory of its own.
Graphs::Recorded Graphs::instantiate(cudaGraph_t graph) {
  Recorded recorded;
  const uint64_t before = free_bytes();
  if (stream_.check(cudaGraphInstantiate(&recorded.executable, graph, 0), "making a graph of a step")) {
    stream_.check(cudaGraphUpload(recorded.executable, stream_.get()), "sending a graph to the device");
  }
  const uint64_t after = free_bytes();
  recorded.bytes = before > after ? before - after : 0;
  ledger_.add(tag(), recorded.bytes);
  return recorded;
}

uint64_t Graphs::free_bytes() {
  size_t free = 0, total = 0;
  stream_.check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return free;
}

void Graphs::clear() {
  stream_.synchronize();
  for (const auto& [key, graph] : graphs_) {
    cudaGraphExecDestroy(graph.executable);
    ledger_.subtract(tag(), graph.bytes);
  }
  graphs_.clear();
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
