// How a mode's KV pages are laid out: as many layers as its weights have. kv: a format that exists ("kv16"). Any
// thread.
#pragma once

#include <string_view>

#include "server/model/weights.h"

namespace halftone {

KvLayout mode_kv_layout(const ModelSpec& spec, const ModeWeights& weights, std::string_view kv);
// The same before the weights are there.
KvLayout mode_kv_layout(const ModelSpec& spec, const Mode& mode);

}  // namespace halftone
