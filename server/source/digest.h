// What tells two checkpoints apart: SHA-256 over what the model is and, by canonical name, each tensor's name, type,
// shape and bytes. Up to 1 GiB of tensors all bytes count (some 0.1 s for 100 MB); beyond it, of every tensor larger
// than 1 MiB, the first 64 KiB of each MiB and its last 64 KiB. Any thread.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "server/source/mapped_tensor.h"

namespace halftone {

// "sha256:" and 64 hexadecimal digits.
std::string source_digest(const ModelSpec& spec, const std::map<std::string, TensorPlace, std::less<>>& tensors);

}  // namespace halftone
