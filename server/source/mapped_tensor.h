// A tensor inside a mapped file. Any thread may read; the mapping must outlive it (ModelSource::files).
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "server/source/model_source.h"
#include "server/source/tensor_format.h"

namespace halftone {

struct TensorPlace {
  std::string file, name;  // as messages show them
  const TensorFormat* format = nullptr;
  int64_t rows = 1, cols = 1;
  int dimensions = 1;
  std::span<const uint8_t> bytes;  // exactly the tensor
  // Not 0: rows (of a vector: elements) lie pairwise interleaved in heads of this size, as llama.cpp stores q and k;
  // they are handed out in rotate-half order.
  int64_t interleaved_head = 0;
  float added = 0;  // to each value of a vector that is read
};

class MappedTensor final : public SourceTensor {
 public:
  explicit MappedTensor(TensorPlace place) : place_(std::move(place)) {}

  std::string_view name() const override { return place_.name; }
  std::string_view type() const override { return place_.format->name; }
  int64_t rows() const override { return place_.rows; }
  int64_t cols() const override { return place_.cols; }
  absl::Status read_rows(int64_t first, int64_t count, std::span<float> out) const override;
  std::optional<AffineGrid> grid() const override;
  absl::Status read_codes(int64_t first, int64_t count, WeightRows& out) const override;

  const TensorPlace& place() const { return place_; }

 private:
  const uint8_t* row_bytes(int64_t row) const;
  absl::Status not_finite(int64_t row, int64_t element, std::string_view what) const;

  TensorPlace place_;
};

}  // namespace halftone
