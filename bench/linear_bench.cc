#include "bench/linear_bench.h"

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "bench/device_rows.h"

namespace halftone::bench {
namespace {

constexpr int64_t kTokens[] = {1, 4, 16, 128};
constexpr uint64_t kYardstickKeys = uint64_t{1} << 32;  // of its series on the device; ours begin at 0

// Of kPackRows rows, which every matrix repeats.
std::vector<float> random_rows(int64_t cols) {
  std::minstd_rand random(1);
  std::vector<float> rows(static_cast<size_t>(kPackRows * cols));
  for (float& value : rows) value = static_cast<float>(random() % 2001) / 1000 - 1;
  return rows;
}

// Copies of one packed matrix that together are larger than the caches: a decode meets each matrix once a step.
class RotatedWeights {
 public:
  RotatedWeights(Device& device, const WeightFormat& format, const PackedShape& shape)
      : device_(device), bytes_(device.weight_bytes(format, shape)) {
    const size_t copies = kBeyondCaches / bytes_.total() + 1;
    for (size_t i = 0; i < copies; ++i) {
      codes_.push_back(device.allocate(bytes_.codes, {"bench", MemoryCategory::kWeights}));
      scales_.push_back(device.allocate(bytes_.scales, {"bench", MemoryCategory::kWeightScales}));
      matrices_.push_back({&format, shape, codes_.back().data(), scales_.back().data()});
    }
    pack();
  }

  const PackedMatrix& operator[](int64_t i) const { return matrices_[static_cast<size_t>(i) % matrices_.size()]; }
  size_t bytes() const { return bytes_.total(); }

 private:
  void pack() {
    const PackedShape& shape = matrices_[0].shape;
    const std::vector<float> values = random_rows(shape.cols);
    WeightRows rows;
    for (int64_t first = 0; first < shape.rows; first += kPackRows) {
      matrices_[0].format->quantize(shape, std::min(kPackRows, shape.rows - first), values.data(), &rows);
      for (const PackedMatrix& matrix : matrices_) device_.pack_rows(matrix, first, rows);
    }
  }

  Device& device_;
  PackedBytes bytes_;
  std::vector<Buffer> codes_, scales_;
  std::vector<PackedMatrix> matrices_;
};

}  // namespace

void bench_linear(Device& device, const WeightFormat& format, LinearShape shape, const Budget& budget,
                  LinearYardstick* yardstick, Report& report) {
  if (!device.supports(format, Activations::kA16)) return;
  const std::optional<PackedShape> packed = format.plan(shape.rows, shape.cols, 0);
  if (!packed) return;
  const RotatedWeights weights(device, format, *packed);
  const int64_t most = *std::max_element(std::begin(kTokens), std::end(kTokens));
  const DeviceRows x(device, most, shape.cols, 0.5f), y(device, most, shape.rows, 0);
  if (yardstick != nullptr) yardstick->hold(shape.rows, shape.cols, random_rows(shape.cols));
  for (Activations activations : {Activations::kA16, Activations::kA8}) {
    if (activations == Activations::kA8 && format.code_bits == 0) continue;
    if (!device.supports(format, activations)) continue;
    for (int64_t tokens : kTokens) {
      const double seconds = time_calls(device, budget, report.size(), [&](int64_t i) {
        LinearCall call;
        call.weights = &weights[i];
        call.activations = activations;
        call.x = x.first(tokens);
        call.y = y.first(tokens);
        device.linear({&call, 1});
      });
      Work work{static_cast<double>(weights.bytes())};
      work.operations[static_cast<int>(arithmetic_of(format, activations))] =
          2.0 * static_cast<double>(shape.rows) * static_cast<double>(shape.cols) * static_cast<double>(tokens);
      Row row{"linear " + std::string(format.name) + (activations == Activations::kA8 ? "a8" : "a16"),
              std::to_string(shape.rows) + " x " + std::to_string(shape.cols), tokens, seconds, work};
      if (yardstick != nullptr) {
        row.yardstick = yardstick->time(x.first(tokens), y.first(tokens), budget, kYardstickKeys + report.size());
      }
      report.add(row);
    }
  }
}

}  // namespace halftone::bench
