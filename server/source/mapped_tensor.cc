#include "server/source/mapped_tensor.h"

#include <cmath>
#include <vector>

#include "kernels/contract/check.h"
#include "server/source/message.h"

namespace halftone {
namespace {

// Where element `i` of rotate-half order (first halves of all pairs, then second halves) lies in interleaved order.
int64_t interleaved_index(int64_t i, int64_t head) {
  const int64_t in_head = i % head;
  const int64_t half = head / 2;
  return i - in_head + (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1);
}

// The first that is infinite or no number; -1 if none is.
int64_t find_not_finite(std::span<const float> values) {
  float sum = 0;  // 0 * x is 0 for every finite x: one pass without a branch
  for (float value : values) sum += 0.0f * value;
  if (sum == 0.0f) return -1;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) return static_cast<int64_t>(i);
  }
  return -1;
}

}  // namespace

const uint8_t* MappedTensor::row_bytes(int64_t row) const {
  const bool permuted = place_.interleaved_head != 0 && place_.rows > 1;
  const int64_t stored = permuted ? interleaved_index(row, place_.interleaved_head) : row;
  return place_.bytes.data() + stored * *place_.format->row_bytes(place_.cols);
}

absl::Status MappedTensor::not_finite(int64_t row, int64_t element, std::string_view what) const {
  return absl::InvalidArgumentError(message(place_.file, ": tensor ", shown(place_.name), ": ", what, " ", element,
                                            " of row ", row, " is not finite"));
}

absl::Status MappedTensor::read_rows(int64_t first, int64_t count, std::span<float> out) const {
  HALFTONE_CHECK(first >= 0 && count >= 0 && first <= place_.rows && count <= place_.rows - first);
  HALFTONE_CHECK(out.size() == static_cast<size_t>(count * place_.cols));
  for (int64_t r = 0; r < count; ++r) {
    std::span<float> row = out.subspan(static_cast<size_t>(r * place_.cols), static_cast<size_t>(place_.cols));
    place_.format->decode(row_bytes(first + r), place_.cols / place_.format->block_values, row.data());
    const int64_t bad = find_not_finite(row);
    if (bad >= 0) return not_finite(first + r, bad, "element");
  }
  if (place_.interleaved_head != 0 && place_.rows == 1 && count == 1) {
    const std::vector<float> stored(out.begin(), out.end());
    for (int64_t i = 0; i < place_.cols; ++i) out[i] = stored[interleaved_index(i, place_.interleaved_head)];
  }
  if (place_.added != 0) {
    for (float& value : out) value += place_.added;
  }
  return absl::OkStatus();
}

std::optional<AffineGrid> MappedTensor::grid() const {
  const bool changed = place_.rows == 1 && (place_.interleaved_head != 0 || place_.added != 0);
  return changed ? std::nullopt : place_.format->grid;
}

absl::Status MappedTensor::read_codes(int64_t first, int64_t count, WeightRows& out) const {
  HALFTONE_CHECK(grid().has_value());
  HALFTONE_CHECK(first >= 0 && count >= 0 && first <= place_.rows && count <= place_.rows - first);
  const int64_t groups = place_.cols / place_.format->block_values;
  out.resize(count, place_.cols, *place_.format->grid);
  for (int64_t r = 0; r < count; ++r) {
    float* scale = out.scale.data() + r * groups;
    float* minimum = out.minimum.data() + r * groups;
    place_.format->decode_codes(row_bytes(first + r), groups, out.codes.data() + r * place_.cols, scale, minimum);
    for (int64_t g = 0; g < groups; ++g) {
      if (!std::isfinite(scale[g]) || !std::isfinite(minimum[g])) return not_finite(first + r, g, "scale or minimum");
    }
  }
  return absl::OkStatus();
}

}  // namespace halftone
