// Activations rounded to int8, as the integer products read them (a8, a8t): docs/NUMERICS.md.
#pragma once

#include <cstdint>

namespace halftone {

// Any number of rows; a view.
struct QuantizedRows {
  int64_t cols = 0;
  int64_t segment = 0;            // inputs that are added up as integers; the last one of a row may be shorter
  const int8_t* codes = nullptr;  // [rows][stride], within +-127; zeros behind cols
  int64_t stride = 0;             // a multiple of 8
  const float* scale = nullptr;   // [rows][segments]: equal ones along a row under a8t
  const int32_t* sum = nullptr;   // [rows][segments]: of the codes
  int64_t segments = 0;

  QuantizedRows from(int64_t row) const {
    QuantizedRows rest = *this;
    rest.codes += row * stride;
    rest.scale += row * segments;
    rest.sum += row * segments;
    return rest;
  }
};

}  // namespace halftone
