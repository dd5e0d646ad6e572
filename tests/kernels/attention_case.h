// Seeded sequences over pages in scrambled order, ready for rope_store and attention on a device or in the reference.
#pragma once

#include <random>
#include <vector>

#include "kernels/contract/device.h"
#include "kernels/reference/exact.h"

namespace halftone::test {

struct AttentionShape {
  int64_t heads = 4, kv_heads = 2, head_dim = 16;
  int64_t page_tokens = 16;
  int64_t window = 0;
  bool qk_norm = false;
  int64_t rotated = 0;  // dimensions that turn; 0: all
  float cap = 0;
  bool sinks = false;
};

// One layer of everything that some sequences have: q, k and v of all their positions.
class AttentionCase {
 public:
  AttentionCase(const KvFormat& format, const AttentionShape& shape, std::vector<int64_t> lengths, uint32_t seed);

  struct Chunk {
    size_t sequence = 0;
    int64_t first = 0, tokens = 0;  // positions
  };
  struct Result {
    std::vector<float> q;  // rotated
    std::vector<float> y;
    int64_t clamped = 0;
  };
  // One step: the chunks' q, k and v side by side, stored, then attended to. Rows of q and y are the chunks', one after
  // another. Null: in the reference.
  Result step(Device* device, const std::vector<Chunk>& chunks);
  // The whole of every sequence in one step.
  Result whole(Device* device) { return step(device, whole_chunks()); }
  // The same in double, on what the reference stores.
  std::vector<reference::Bounded> exact(const std::vector<Chunk>& chunks);
  std::vector<Chunk> whole_chunks() const;

  const std::vector<std::byte>& arena() const { return arena_; }
  // Pages as a stranger leaves them: every half a NaN.
  void forget() { arena_.assign(arena_.size(), std::byte{0x7e}); }
  // Multiplies every k and v by this.
  void magnify(float factor);

 private:
  struct Sequence {
    int64_t length = 0;
    std::vector<float> q, k, v;  // [length][heads or kv_heads * head_dim]
    std::vector<int32_t> pages;
  };
  struct Step;

  Step gather(const std::vector<Chunk>& chunks) const;
  RopeStoreCall rope_call(Step& step);
  AttentionCall attention_call(Step& step);

  AttentionShape shape_;
  KvLayout layout_;
  std::vector<Sequence> sequences_;
  std::vector<std::byte> arena_;
  std::vector<float> cosines_, sines_, q_norm_, k_norm_, sinks_;
};

}  // namespace halftone::test
