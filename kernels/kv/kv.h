// The KV formats there are. Any thread.
#pragma once

#include <span>
#include <string_view>

#include "kernels/contract/kv_format.h"

namespace halftone {

std::span<const KvFormat* const> all_kv_formats();
const KvFormat* find_kv_format(std::string_view name);  // null: there is none of that name

}  // namespace halftone
