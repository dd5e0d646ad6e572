#include "tests/kernels/cuda/on_cuda.h"

#include <algorithm>

#include "kernels/contract/numbers.h"

namespace halftone::test {
namespace {

constexpr uint16_t kGap = 0x1234;
constexpr uint64_t kOrders = HALFTONE_SANITIZED ? 3 : 8;  // a sanitizer takes ten times as long

}  // namespace

std::vector<float> as_bf16(std::vector<float> values) {
  for (float& value : values) value = f32_from_bf16(bf16_from_f32(value));
  return values;
}

Bf16OnDevice::Bf16OnDevice(Device& device, const std::vector<float>& values, int64_t rows, int64_t cols, int64_t gap)
    : device_(device) {
  std::vector<uint16_t> bits(static_cast<size_t>(rows * (cols + gap)), kGap);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      bits[static_cast<size_t>(r * (cols + gap) + c)] = bf16_from_f32(values[static_cast<size_t>(r * cols + c)]);
    }
  }
  buffer_ = device.allocate(bits.size() * sizeof(uint16_t), {"test", {}});
  device.upload(buffer_.data(), std::as_bytes(std::span(bits)));
  tensor_ = {buffer_.data(), DType::kBF16, rows, cols, cols + gap};
}

std::vector<float> Bf16OnDevice::download() const {
  std::vector<uint16_t> bits(buffer_.bytes() / sizeof(uint16_t));
  device_.download(std::as_writable_bytes(std::span(bits)), buffer_.data());
  std::vector<float> values;
  for (int64_t r = 0; r < tensor_.rows; ++r) {
    for (int64_t c = 0; c < tensor_.cols; ++c) {
      values.push_back(f32_from_bf16(bits[static_cast<size_t>(r * tensor_.stride + c)]));
    }
  }
  return values;
}

bool Bf16OnDevice::gaps_are_untouched() const {
  std::vector<uint16_t> bits(buffer_.bytes() / sizeof(uint16_t));
  device_.download(std::as_writable_bytes(std::span(bits)), buffer_.data());
  for (int64_t r = 0; r < tensor_.rows; ++r) {
    for (int64_t c = tensor_.cols; c < tensor_.stride; ++c) {
      if (bits[static_cast<size_t>(r * tensor_.stride + c)] != kGap) return false;
    }
  }
  return true;
}

MatrixOnDevice::MatrixOnDevice(Device& device, const PackedMatrix& packed) {
  const WeightFormat& format = *packed.format;
  const PackedBytes bytes = device.weight_bytes(format, packed.shape);
  codes_ = device.allocate(bytes.codes, {"test", MemoryCategory::kWeights});
  scales_ = device.allocate(bytes.scales, {"test", MemoryCategory::kWeightScales});
  matrix_ = {&format, packed.shape, codes_.data(), scales_.data()};
  for (int64_t first = 0; first < packed.shape.rows; first += kPackRows) {
    device.pack_rows(matrix_, first, rows_of_packed(packed, first, std::min(kPackRows, packed.shape.rows - first)));
  }
}

void PrintTo(const CudaParam& param, std::ostream* out) {
  *out << full_name(param.device) << " seed " << param.settings.seed << (param.settings.eager_copies ? " eager" : "");
}

std::vector<CudaParam> all_cuda_params() {
  std::vector<CudaParam> params;
  for (const TestDevice& device : all_cuda_devices()) {
    if (device.name != "cuda:host") {
      params.push_back({device, {}});
      continue;
    }
    for (uint64_t seed = 0; seed < kOrders; ++seed) {
      cuda_host::Settings settings;
      settings.seed = seed;
      settings.eager_copies = seed % 2 == 1;
      settings.coresident_blocks = seed % 3 == 2 ? 4 : 1;
      params.push_back({device, settings});
    }
  }
  return params;
}

std::string name_of_cuda_param(const testing::TestParamInfo<CudaParam>& info) {
  std::string name = full_name(info.param.device);
  std::replace(name.begin(), name.end(), ':', '_');
  return name + "_" + std::to_string(info.param.settings.seed);
}

}  // namespace halftone::test
