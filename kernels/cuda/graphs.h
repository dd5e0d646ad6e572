// Recorded steps: what was queued once for a key is replayed as one graph. Engine thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <tuple>

#include "kernels/contract/ledger.h"
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

  Graphs(Stream& stream, Ledger& ledger) : stream_(stream), ledger_(ledger) {}
  Graphs(const Graphs&) = delete;
  Graphs& operator=(const Graphs&) = delete;
  ~Graphs() { clear(); }

  void run(const Key& key, const std::function<void()>& work);
  size_t size() const { return graphs_.size(); }

 private:
  static constexpr size_t kMost = 256;

  struct Recorded {
    cudaGraphExec_t executable = nullptr;  // null: it could not be made
    uint64_t bytes = 0;                    // of the device's memory, in the ledger
  };
  Recorded record(const std::function<void()>& work);
  Recorded instantiate(cudaGraph_t graph);
  uint64_t free_bytes();
  void clear();

  Stream& stream_;
  Ledger& ledger_;
  std::map<Key, Recorded> graphs_;
};

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
