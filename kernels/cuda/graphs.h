// Recorded steps: what was queued once for a key is replayed as one graph. Engine thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <tuple>

#include "kernels/cuda/stream.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {

class Graphs {
 public:
  // Everything that the grids and arguments of a recorded step depend on.
  struct Key {
    uint64_t work = 0;
    int64_t rows = 0;
    int splits = 0, generation = 0;

    friend auto operator<=>(const Key&, const Key&) = default;
  };

  explicit Graphs(Stream& stream) : stream_(stream) {}
  Graphs(const Graphs&) = delete;
  Graphs& operator=(const Graphs&) = delete;
  ~Graphs() { clear(); }

  void run(const Key& key, const std::function<void()>& work);
  size_t size() const { return graphs_.size(); }

 private:
  static constexpr size_t kMost = 256;

  cudaGraphExec_t record(const std::function<void()>& work);
  void clear();

  Stream& stream_;
  std::map<Key, cudaGraphExec_t> graphs_;
};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
