// The families of decoders, one small file each; decoder.cc holds the list.
#pragma once

#include "server/model/decoder.h"

namespace halftone {

const Family& llama_family();
const Family& mistral_family();
const Family& qwen2_family();
const Family& qwen3_family();

}  // namespace halftone
