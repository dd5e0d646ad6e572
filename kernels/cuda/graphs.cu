#include "kernels/cuda/graphs.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

void Graphs::run(const Key& key, const std::function<void()>& work) {
  if (!stream_.ok()) return;
  auto found = graphs_.find(key);
  if (found == graphs_.end()) {
    if (graphs_.size() == kMost) clear();
    const cudaGraphExec_t recorded = record(work);
    if (recorded == nullptr) return;
    found = graphs_.emplace(key, recorded).first;
  }
  stream_.check(cudaGraphLaunch(found->second, stream_.get()), "replaying a step");
}

cudaGraphExec_t Graphs::record(const std::function<void()>& work) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  if (!stream_.check(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal), "recording a step")) {
    return nullptr;
  }
  work();
  stream_.check(cudaStreamEndCapture(stream_.get(), &graph), "recording a step");
  if (stream_.ok()) stream_.check(cudaGraphInstantiate(&executable, graph, 0), "making a graph of a step");
  if (graph != nullptr) cudaGraphDestroy(graph);
  return executable;
}

void Graphs::clear() {
  stream_.synchronize();
  for (const auto& [key, graph] : graphs_) cudaGraphExecDestroy(graph);
  graphs_.clear();
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
