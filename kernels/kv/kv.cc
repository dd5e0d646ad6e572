#include "kernels/kv/kv.h"

#include "kernels/kv/kv16/kv16.h"
#include "kernels/kv/kv8/kv8.h"

namespace halftone {
namespace {

constexpr const KvFormat* kFormats[] = {
    &kKv16,
    &kKv8,
};

}  // namespace

std::span<const KvFormat* const> all_kv_formats() { return kFormats; }

const KvFormat* find_kv_format(std::string_view name) {
  for (const KvFormat* format : kFormats) {
    if (format->name == name) return format;
  }
  return nullptr;
}

}  // namespace halftone
