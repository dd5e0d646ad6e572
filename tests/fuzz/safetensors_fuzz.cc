// Any bytes as a safetensors file: what comes out lies inside it and has the size that its type and shape ask for.
#include <cstdint>

#include "kernels/contract/check.h"
#include "server/source/safetensors_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto tensors = halftone::parse_safetensors({data, size}, "fuzz.safetensors");
  if (!tensors.ok()) return 0;
  for (const halftone::SafeTensor& tensor : *tensors) {
    HALFTONE_CHECK(tensor.bytes.data() >= data && tensor.bytes.data() + tensor.bytes.size() <= data + size);
    HALFTONE_CHECK(!tensor.format ||
                   tensor.rows * *tensor.format->row_bytes(tensor.cols) == static_cast<int64_t>(tensor.bytes.size()));
  }
  return 0;
}
