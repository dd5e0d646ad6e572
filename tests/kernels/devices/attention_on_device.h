// Sequences whose steps are stored and attended to on a device and in the reference: one layer of a page, any KV
// format.
#pragma once

#include <random>
#include <vector>

#include "kernels/contract/device.h"

namespace halftone::test {

struct AttentionVariant {
  int64_t heads = 2, kv_heads = 1, head_dim = 8, page_tokens = 16;
  int64_t window = 0;
  bool qk_norm = false;
  float q_scale = 2;    // of the queries before they turn
  int64_t rotated = 0;  // as RopeStoreCall has it
  float cap = 0;        // as AttentionCall has it
  bool sinks = false;
};

// Tokens of a sequence that are new in a step; those before them were stored by an earlier one.
struct NewTokens {
  int64_t first, tokens;
};

class AttentionOnDevice {
 public:
  AttentionOnDevice(Device& device, const KvFormat& format, const AttentionVariant& variant,
                    std::vector<int64_t> lengths);

  // Stores and attends the new tokens of each sequence, here and in the reference: pages byte for byte the reference's,
  // queries and results as the device's class says.
  void step(const std::vector<NewTokens>& chunks);
  // Of the last step.
  const std::vector<float>& y() const { return y_; }

 private:
  struct Inputs;

  float scale() const;
  int64_t rotated() const { return variant_.rotated > 0 ? variant_.rotated : variant_.head_dim; }
  void expect_queries(const std::vector<float>& got, const std::vector<float>& expected) const;

  Device& device_;
  AttentionVariant variant_;
  KvLayout layout_;
  int64_t pages_ = 0;
  std::vector<std::vector<int32_t>> tables_;
  std::vector<float> cosines_, sines_, q_norm_, k_norm_, sinks_, y_;
  std::vector<std::byte> arena_;
  std::mt19937 random_{11};
};

}  // namespace halftone::test
