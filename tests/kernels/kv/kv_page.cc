#include "tests/kernels/kv/kv_page.h"

#include <algorithm>

namespace halftone::test {
namespace {

constexpr std::byte kUntouched{0x5a};

}  // namespace

KvPage::KvPage(const KvFormat& format, int64_t kv_heads, int64_t head_dim, int64_t page_tokens)
    : layout_(make_kv_layout(format, 1, kv_heads, head_dim, page_tokens)),
      bytes_(layout_.page_bytes + 2 * kGuard, kUntouched) {
  std::fill_n(layer(), layout_.page_bytes, std::byte{0});
}

int64_t KvPage::store(int64_t head, int64_t slot, const std::vector<float>& k, const std::vector<float>& v) {
  return layout_.format->store(layout(), layer(), head, slot, k.data(), v.data());
}

std::vector<float> KvPage::key(int64_t head, int64_t slot) const {
  const std::vector<float> all = keys(head, false);
  std::vector<float> one;
  for (int64_t d = 0; d < layout().head_dim; ++d)
    one.push_back(all[static_cast<size_t>(d * layout_.page_tokens + slot)]);
  return one;
}

std::vector<float> KvPage::value(int64_t head, int64_t slot) const {
  const std::vector<float> all = values(head, false);
  return {all.begin() + slot * layout().head_dim, all.begin() + (slot + 1) * layout().head_dim};
}

std::vector<float> KvPage::keys(int64_t head, bool avx2) const {
  std::vector<float> out(static_cast<size_t>(layout().head_dim * layout_.page_tokens));
  const auto load = avx2 ? layout_.format->load_keys_avx2 : layout_.format->load_keys;
  load(layout(), bytes_.data() + kGuard, head, out.data());
  return out;
}

std::vector<float> KvPage::values(int64_t head, bool avx2) const {
  std::vector<float> out(static_cast<size_t>(layout().head_dim * layout_.page_tokens));
  const auto load = avx2 ? layout_.format->load_values_avx2 : layout_.format->load_values;
  load(layout(), bytes_.data() + kGuard, head, out.data());
  return out;
}

bool KvPage::guards_are_untouched() const {
  auto untouched = [](std::byte b) { return b == kUntouched; };
  return std::all_of(bytes_.begin(), bytes_.begin() + kGuard, untouched) &&
         std::all_of(bytes_.end() - kGuard, bytes_.end(), untouched);
}

}  // namespace halftone::test
