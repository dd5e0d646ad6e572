#include "kernels/weights/weights.h"

#include "kernels/weights/bf16/bf16.h"
#include "kernels/weights/f32/f32.h"
#include "kernels/weights/w4/w4.h"
#include "kernels/weights/w8/w8.h"

namespace halftone {

std::span<const WeightFormat* const> all_weight_formats() {
  static constexpr const WeightFormat* kFormats[] = {
      &kF32, &kBf16, &kW8, &kW4,  // in the order in which they are shown
  };
  return kFormats;
}

const WeightFormat* find_weight_format(std::string_view name) {
  for (const WeightFormat* format : all_weight_formats()) {
    if (format->name == name) return format;
  }
  return nullptr;
}

}  // namespace halftone
