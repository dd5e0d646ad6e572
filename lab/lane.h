// One mode's way through a window: its own activations and KV pages, the engine's own transformer. A window is computed
// step by step as its rows are asked for. One thread.
//
// All lanes of a device must have the same max_tokens and live together: the device's workspace is the newest one's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/model/transformer.h"

namespace halftone {

constexpr int64_t kLaneRows = 16;  // rows of logits that are in memory at once

struct LaneModel {
  const ModelSource& source;
  Device& device;
  int64_t window_tokens = 0;  // at most the model's context
  int64_t max_tokens = 256;   // of one step
};

// Where a lane's keys and values lie.
struct LanePages {
  const KvLayout& layout;
  std::byte* arena;
  std::span<const int32_t> pages;
};

struct LaneOptions {
  const ModeWeights* weights = nullptr;  // outlive the lane
  std::string kv = "kv16";
  int64_t step_tokens = 256;  // a multiple of kLaneRows, at most max_tokens
  bool pages_backwards = false;
  // Before each step, with its first position: what the pages hold is of positions before that.
  std::function<void(int64_t position, const LanePages& pages)> before_step = {};
};

class Lane {
 public:
  // RESOURCE_EXHAUSTED: no memory.
  static absl::StatusOr<std::unique_ptr<Lane>> create(const LaneModel& model, const LaneOptions& options);

  void begin(std::span<const int32_t> window);  // lives as long as its rows are asked for
  // Raw logits [count, vocabulary], in host memory, of the rows [first, first + count), which lie between two multiples
  // of kLaneRows; ascending within a window. Valid until the next call.
  Tensor logits(int64_t first, int64_t count);

  int64_t clamped_values() const { return clamped_; }

 private:
  Lane(Device& device, LaneOptions options) : device_(device), options_(std::move(options)) {}
  void step();

  Device& device_;
  LaneOptions options_;
  std::unique_ptr<Transformer> transformer_;
  KvLayout layout_;
  Buffer arena_;
  std::vector<int32_t> pages_;
  std::span<const int32_t> window_;
  int64_t begin_ = 0, end_ = 0;  // positions of the last step
  std::vector<float> rows_;      // [kLaneRows][vocabulary], where the device's memory is not the host's
  int64_t clamped_ = 0;
};

}  // namespace halftone
