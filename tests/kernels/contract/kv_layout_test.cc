#include <gtest/gtest.h>

#include "kernels/contract/device.h"

namespace halftone::test {
namespace {

KvFormat format_of(size_t code_bytes, bool has_scales) {
  KvFormat format{};
  format.code_bytes = code_bytes;
  format.has_scales = has_scales;
  return format;
}

TEST(KvLayout, HalvesNeedNoScales) {
  const KvFormat format = format_of(2, false);
  const KvLayout layout = make_kv_layout(format, 30, 3, 64, 16);
  ASSERT_EQ(layout.layers.size(), 30u);
  for (size_t i = 0; i < 30; ++i) {
    EXPECT_EQ(layout.layers[i].head_bytes, 2u * 64 * 16 * 2);
    EXPECT_EQ(layout.layers[i].bytes, 3u * 2 * 64 * 16 * 2);
    EXPECT_EQ(layout.layers[i].offset, i * layout.layers[i].bytes);
  }
  EXPECT_EQ(layout.page_bytes, 30u * layout.layers[0].bytes);
  EXPECT_EQ(layout.code_bytes(), layout.page_bytes);
}

TEST(KvLayout, ScalesFollowTheCodesOfAllHeads) {
  const KvFormat format = format_of(1, true);
  const KvLayout layout = make_kv_layout(format, 30, 3, 64, 32);
  EXPECT_EQ(layout.layers[0].scales_offset, 3u * 2 * 64 * 32);
  EXPECT_EQ(layout.layers[0].bytes, layout.layers[0].scales_offset + 3 * 2 * 32 * 2);
  EXPECT_EQ(layout.code_bytes(), 30u * 3 * 2 * 64 * 32);
}

TEST(KvLayout, LayersEndOn64Bytes) {
  const KvFormat format = format_of(1, true);
  for (int64_t head_dim : {8, 10, 80}) {
    for (int64_t kv_heads : {1, 3, 5}) {
      const KvLayout layout = make_kv_layout(format, 2, kv_heads, head_dim, 16);
      const KvLayer& layer = layout.layers[1];
      EXPECT_EQ(layer.bytes % 64, 0u);
      EXPECT_GE(layer.bytes, layer.scales_offset + static_cast<size_t>(kv_heads * 2 * 16) * 2);
      EXPECT_LT(layer.bytes, layer.scales_offset + static_cast<size_t>(kv_heads * 2 * 16) * 2 + 64);
      EXPECT_EQ(layer.offset, layer.bytes);
      EXPECT_EQ(layout.used_bytes(), 2 * layer.bytes);
    }
  }
}

TEST(KvLayout, LayersOfTheirOwnSizeFollowEachOther) {
  const KvFormat format = format_of(1, true);
  const std::vector<KvLayerShape> shapes = {{2, 64}, {1, 10}, {4, 128}};
  const KvLayout layout = make_kv_layout(format, shapes, 16);
  ASSERT_EQ(layout.layers.size(), 3u);
  size_t offset = 0, codes = 0;
  for (size_t i = 0; i < 3; ++i) {
    const KvLayout alone = make_kv_layout(format, 1, shapes[i].kv_heads, shapes[i].head_dim, 16);
    EXPECT_EQ(layout.layers[i].kv_heads, shapes[i].kv_heads);
    EXPECT_EQ(layout.layers[i].head_dim, shapes[i].head_dim);
    EXPECT_EQ(layout.layers[i].head_bytes, alone.layers[0].head_bytes);
    EXPECT_EQ(layout.layers[i].scales_offset, alone.layers[0].scales_offset);
    EXPECT_EQ(layout.layers[i].bytes, alone.page_bytes);
    EXPECT_EQ(layout.layers[i].offset, offset);
    offset += alone.page_bytes;
    codes += alone.code_bytes();
  }
  EXPECT_EQ(layout.page_bytes, offset);
  EXPECT_EQ(layout.code_bytes(), codes);
}

}  // namespace
}  // namespace halftone::test
