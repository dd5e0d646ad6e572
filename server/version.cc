#include "server/version.h"

#include <iterator>

#include "server/kernel_records.h"

namespace halftone {

std::string version_text(bool verbose) {
  std::string text = std::string("halftone ") + kVersion;
  if (!verbose) return text;
  const int changed = static_cast<int>(std::size(kUnverifiedCudaFiles)) - 1;
  text += HALFTONE_HAS_CUDA ? "\nCUDA: built in" : "\nCUDA: not built in";
  text += "\nproved on a GPU: " + std::to_string(kCudaFiles - changed) + " of the " + std::to_string(kCudaFiles) +
          " files of CUDA kernels";
  for (int i = 0; i < changed; ++i) text += std::string("\nunverified: ") + kUnverifiedCudaFiles[i];
  return text;
}

}  // namespace halftone
