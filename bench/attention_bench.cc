#include "bench/attention_bench.h"

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "bench/device_rows.h"

namespace halftone::bench {
namespace {

struct Sequences {
  std::vector<std::vector<int32_t>> pages;
  std::vector<AttentionSequence> views;
  int32_t page_count = 0;
};

Sequences make_sequences(const AttentionShape& shape, int64_t page_tokens) {
  Sequences all;
  const int64_t positions = shape.context + shape.tokens;
  for (int64_t i = 0; i < shape.sequences; ++i) {
    std::vector<int32_t> pages(static_cast<size_t>((positions + page_tokens - 1) / page_tokens));
    std::iota(pages.begin(), pages.end(), all.page_count);
    all.page_count += static_cast<int32_t>(pages.size());
    all.pages.push_back(std::move(pages));
  }
  for (int64_t i = 0; i < shape.sequences; ++i) {
    all.views.push_back({i * shape.tokens, shape.tokens, shape.context, all.pages[static_cast<size_t>(i)]});
  }
  return all;
}

void fill(const KvLayout& layout, std::byte* arena, int32_t pages) {
  const KvLayer& layer = layout.layers[0];
  std::vector<float> vector(static_cast<size_t>(layer.head_dim));
  for (size_t d = 0; d < vector.size(); ++d) vector[d] = std::sin(static_cast<float>(d));
  for (int32_t page = 0; page < pages; ++page) {
    for (int64_t head = 0; head < layer.kv_heads; ++head) {
      for (int64_t slot = 0; slot < layout.page_tokens; ++slot) {
        std::byte* data = arena + static_cast<size_t>(page) * layout.page_bytes;
        layout.format->store(layer, data, head, slot, vector.data(), vector.data());
      }
    }
  }
}

}  // namespace

void bench_attention(Device& device, const KvFormat& format, const AttentionShape& shape, const Budget& budget,
                     Report& report) {
  const KvLayout layout = make_kv_layout(format, 1, shape.kv_heads, shape.head_dim, format.default_page_tokens);
  const Sequences sequences = make_sequences(shape, layout.page_tokens);
  const size_t arena_bytes = static_cast<size_t>(sequences.page_count) * layout.page_bytes;
  const Buffer arena = device.allocate(arena_bytes, {"bench", MemoryCategory::kKvCache});
  std::vector<std::byte> pages(arena_bytes);
  fill(layout, pages.data(), sequences.page_count);
  device.upload(arena.data(), pages);
  const int64_t rows = shape.sequences * shape.tokens, width = shape.heads * shape.head_dim;
  const DeviceRows q(device, rows, width, 0.25f), y(device, rows, width, 0);
  const std::vector<int32_t> tokens(static_cast<size_t>(rows));
  device.begin({tokens, sequences.views});
  AttentionCall call;
  call.q = q.view();
  call.y = y.view();
  call.heads = shape.heads;
  call.scale = 0.125f;
  call.kv = {&layout, arena.data(), 0};
  const double seconds = time_calls(device, budget, report.size(), [&](int64_t) { device.attention(call); });
  // Two products of 2 flops for each value of K and V that a query head sees.
  const double seen =
      static_cast<double>(rows) * (static_cast<double>(shape.context) + static_cast<double>(shape.tokens + 1) / 2);
  report.add({"attention " + std::string(format.name),
              std::to_string(shape.sequences) + " x " + std::to_string(shape.context) + ", heads " +
                  std::to_string(shape.heads) + "/" + std::to_string(shape.kv_heads) + " of " +
                  std::to_string(shape.head_dim),
              rows,
              seconds,
              {static_cast<double>(arena_bytes), {4 * seen * static_cast<double>(width)}}});
}

}  // namespace halftone::bench
