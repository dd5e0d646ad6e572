#include <algorithm>

#include "kernels/contract/check.h"
#include "kernels/cpu/cpu_context.h"

namespace halftone {
namespace {

// A tile with its splits taken one after the other, each merged into the result: two buffers of partials a thread.
class TileRun {
 public:
  TileRun(const CpuContext& context, const AttentionTile& tile, int64_t rows, float* scratch)
      : context_(context),
        tile_(tile),
        rows_(rows),
        padded_(padded_head_dim(tile.layer->head_dim)),
        into_(scratch),
        next_(into_ + rows * padded_),
        scratch_(next_ + rows * padded_) {}

  void run() {
    const AttentionCall& call = *tile_.call;
    int64_t first_position = tile_.sequence->first_position + tile_.first;
    int64_t oldest = call.window > 0 ? std::max<int64_t>(0, first_position - call.window + 1) : 0;
    for (int64_t row = 0; row < rows_; ++row) merged_[row].empty = true;
    for (int64_t split = oldest / kSplitPositions; split <= (first_position + tile_.tokens - 1) / kSplitPositions;
         ++split) {
      AttentionPartial partials[kMaxRows];
      context_.ops().attend_split(tile_, split, partials, next_, scratch_);
      for (int64_t row = 0; row < rows_; ++row) {
        context_.ops().merge(&merged_[row], into_ + row * padded_, partials[row], next_ + row * padded_,
                             tile_.layer->head_dim);
      }
    }
    if (call.sinks != nullptr) merge_sinks();
    write();
  }

  static constexpr int64_t kMaxRows = 128;

 private:
  // A sink is a split of one position whose value is 0.
  void merge_sinks() {
    const AttentionCall& call = *tile_.call;
    int64_t group = call.heads / tile_.layer->kv_heads;
    std::fill_n(next_, padded_, 0.0f);
    for (int64_t row = 0; row < rows_; ++row) {
      const AttentionPartial sink{call.sinks[tile_.kv_head * group + row % group], 1, false};
      context_.ops().merge(&merged_[row], into_ + row * padded_, sink, next_, tile_.layer->head_dim);
    }
  }

  void write() const {
    const AttentionCall& call = *tile_.call;
    int64_t head_dim = tile_.layer->head_dim, group = call.heads / tile_.layer->kv_heads;
    for (int64_t row = 0; row < rows_; ++row) {
      int64_t token = tile_.sequence->first_token + tile_.first + row / group;
      float* y = call.y.f32(token) + (tile_.kv_head * group + row % group) * head_dim;
      for (int64_t d = 0; d < head_dim; ++d) y[d] = into_[row * padded_ + d] / merged_[row].sum;
    }
  }

  const CpuContext& context_;
  const AttentionTile& tile_;
  int64_t rows_, padded_;
  float* into_;
  float* next_;
  float* scratch_;
  AttentionPartial merged_[kMaxRows];
};

int64_t tile_tokens(int64_t group) { return std::max<int64_t>(1, kTileRows / group); }

int64_t scratch_floats(int64_t group, int64_t head_dim) {
  int64_t rows = std::max(kTileRows, group);
  constexpr int64_t kPageTokensMax = 256;
  return 2 * rows * padded_head_dim(head_dim) + rows * kSplitPositions + head_dim * kPageTokensMax + 16;
}

}  // namespace

size_t cpu_attention_workspace(int threads, int64_t heads, int64_t head_dim) {
  return static_cast<size_t>(threads * scratch_floats(heads, head_dim)) * sizeof(float);
}

void cpu_attention(const CpuContext& context, const AttentionCall& call) {
  const KvLayer& layer = call.kv.shape();
  int64_t group = call.heads / layer.kv_heads, step = tile_tokens(group);
  HALFTONE_CHECK(step * group <= TileRun::kMaxRows);
  int64_t items = 0;
  for (const AttentionSequence& sequence : context.batch.sequences)
    items += (sequence.tokens + step - 1) / step * layer.kv_heads;
  // Late tiles see more, so they go first: the last item to finish is then a short one.
  context.pool.run(items, [&](int64_t item, int thread) {
    int64_t at = items - 1 - item;
    const AttentionSequence* sequence = context.batch.sequences.data();
    while (true) {
      int64_t own = (sequence->tokens + step - 1) / step * layer.kv_heads;
      if (at < own) break;
      at -= own;
      ++sequence;
    }
    int64_t first = at / layer.kv_heads * step;
    AttentionTile tile{&call, &layer, sequence, at % layer.kv_heads, first, std::min(step, sequence->tokens - first)};
    float* scratch = context.thread_scratch(thread, scratch_floats(group, layer.head_dim));
    TileRun(context, tile, tile.tokens * group, scratch).run();
  });
}

int64_t cpu_rope_store(const CpuContext& context, const RopeStoreCall& call) {
  const KvLayer& layer = call.kv.shape();
  constexpr int64_t kTokens = 4;
  int64_t tokens = static_cast<int64_t>(context.batch.tokens.size());
  std::atomic<int64_t> clamped{0};
  context.pool.run((tokens + kTokens - 1) / kTokens, [&](int64_t item, int) {
    int64_t out_of_range = 0;
    for (const AttentionSequence& sequence : context.batch.sequences) {
      int64_t first = std::max(sequence.first_token, item * kTokens);
      int64_t end = std::min(sequence.first_token + sequence.tokens, (item + 1) * kTokens);
      for (int64_t t = first; t < end; ++t) {
        int64_t position = sequence.first_position + t - sequence.first_token;
        context.ops().rope(call, call.q_norm, call.heads, layer.head_dim, position, call.q.f32(t));
        context.ops().rope(call, call.k_norm, layer.kv_heads, layer.head_dim, position, call.k.f32(t));
        std::byte* data = call.kv.at(sequence.pages[static_cast<size_t>(position / layer.page_tokens)]);
        for (int64_t head = 0; head < layer.kv_heads; ++head) {
          out_of_range += call.kv.layout->format->store(layer, data, head, position % layer.page_tokens,
                                                        call.k.f32(t) + head * layer.head_dim,
                                                        call.v.f32(t) + head * layer.head_dim);
        }
      }
    }
    if (out_of_range != 0) clamped.fetch_add(out_of_range, std::memory_order_relaxed);
  });
  return clamped.load();
}

}  // namespace halftone
