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
  EXPECT_EQ(layout.head_bytes, 2u * 64 * 16 * 2);
  EXPECT_EQ(layout.layer_bytes, 3u * 2 * 64 * 16 * 2);
  EXPECT_EQ(layout.page_bytes, 30u * layout.layer_bytes);
}

TEST(KvLayout, ScalesFollowTheCodesOfAllHeads) {
  const KvFormat format = format_of(1, true);
  const KvLayout layout = make_kv_layout(format, 30, 3, 64, 32);
  EXPECT_EQ(layout.scales_offset, 3u * 2 * 64 * 32);
  EXPECT_EQ(layout.layer_bytes, layout.scales_offset + 3 * 2 * 32 * 2);
}

TEST(KvLayout, LayersEndOn64Bytes) {
  const KvFormat format = format_of(1, true);
  for (int64_t head_dim : {8, 10, 80}) {
    for (int64_t kv_heads : {1, 3, 5}) {
      const KvLayout layout = make_kv_layout(format, 2, kv_heads, head_dim, 16);
      EXPECT_EQ(layout.layer_bytes % 64, 0u);
      EXPECT_GE(layout.layer_bytes, layout.scales_offset + static_cast<size_t>(kv_heads * 2 * 16) * 2);
      EXPECT_LT(layout.layer_bytes, layout.scales_offset + static_cast<size_t>(kv_heads * 2 * 16) * 2 + 64);
      EXPECT_EQ(layout.used_bytes(), 2 * layout.layer_bytes);
    }
  }
}

}  // namespace
}  // namespace halftone::test
