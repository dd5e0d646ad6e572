// Any bytes as a GGUF file: the container from memory that ends where they end, then the whole way through a mapping.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/contract/check.h"
#include "server/source/gguf_file.h"
#include "server/source/model_source.h"

namespace {

// Reads what the checks let through; its errors are as good as its values.
void read_everything(const halftone::ModelSource& source) {
  for (const auto& [name, tensor] : source.tensors) {
    std::vector<float> row(static_cast<size_t>(tensor->cols()));
    halftone::WeightRows groups;
    for (int64_t r = 0; r < tensor->rows(); ++r) {
      (void)tensor->read_rows(r, 1, row);
      if (tensor->grid()) (void)tensor->read_codes(r, 1, groups);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (!halftone::parse_gguf({data, size}, "fuzz.gguf").ok()) return 0;
  const int file = memfd_create("fuzz.gguf", MFD_CLOEXEC);
  HALFTONE_CHECK(file >= 0 && write(file, data, size) == static_cast<ssize_t>(size));
  absl::StatusOr<halftone::ModelSource> source = halftone::open_model("/proc/self/fd/" + std::to_string(file));
  if (source.ok()) read_everything(*source);
  close(file);
  return 0;
}
