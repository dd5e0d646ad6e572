// The yardstick of products on a device's memory: by fibers, and a library of plain loops.
#include "bench/linear_yardstick.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bench/device_rows.h"
#include "kernels/contract/weight_format.h"
#include "kernels/cuda_host/cuda_host_device.h"

namespace halftone::bench {
namespace {

constexpr int64_t kRows = 2 * kPackRows + 5, kCols = 7, kTokens = 3;
constexpr size_t kBytes = static_cast<size_t>(kRows * kCols) * sizeof(uint16_t);

// A library of plain loops, on memory that is the host's.
class PlainProduct final : public YardstickProduct {
 public:
  PlainProduct(int64_t tokens, std::string error, std::set<const void*>& met)
      : tokens_(tokens), error_(std::move(error)), met_(met) {}
  std::string run(const void* weights, const void* x, void* y, void* /*stream*/) override {
    met_.insert(weights);
    const auto *w = static_cast<const uint16_t*>(weights), *in = static_cast<const uint16_t*>(x);
    for (int64_t i = 0; i < tokens_ * kRows; ++i) {
      float sum = 0;
      for (int64_t c = 0; c < kCols; ++c) {
        sum += f32_from_bf16(w[i % kRows * kCols + c]) * f32_from_bf16(in[i / kRows * kCols + c]);
      }
      uint16_t& result = static_cast<uint16_t*>(y)[i];
      EXPECT_TRUE(result == 0 || f32_from_bf16(result) == sum) << "row " << i % kRows << " of another copy";
      result = bf16_from_f32(sum);
    }
    return error_;
  }

 private:
  const int64_t tokens_;
  const std::string error_;
  std::set<const void*>& met_;
};

class PlainYardstick final : public Yardstick {
 public:
  std::string plan_error, run_error;
  std::set<const void*> met;  // weights
  std::string_view name() const override { return "plain loops"; }
  std::unique_ptr<YardstickProduct> plan(const Tensor& weights, const Tensor& x, const Tensor& y,
                                         std::span<std::byte> workspace, std::string* why) override {
    EXPECT_EQ(std::tuple(weights.rows, weights.cols, weights.stride), std::tuple(kRows, kCols, kCols));
    EXPECT_EQ(std::tuple(x.cols, y.rows, y.cols), std::tuple(kCols, x.rows, kRows));
    EXPECT_FALSE(workspace.empty());
    *why = plan_error;
    if (!why->empty()) return nullptr;
    return std::make_unique<PlainProduct>(x.rows, run_error, met);
  }
};

class LinearYardstickTest : public testing::Test {
 protected:
  LinearYardstickTest() : device_(make_cuda_host_device(ledger_)) {
    for (size_t i = 0; i < static_cast<size_t>(kPackRows * kCols); ++i) values_.push_back(static_cast<float>(i % 5));
  }

  Ledger ledger_;
  std::unique_ptr<Device> device_;
  PlainYardstick library_;
  std::vector<float> values_;
};

TEST_F(LinearYardstickTest, MultipliesByEachCopyOfTheWeights) {
  LinearYardstick yardstick(*device_, library_, nullptr);
  const uint64_t before = ledger_.total();
  yardstick.hold(kRows, kCols, values_, 2 * kBytes);
  EXPECT_EQ(ledger_.total() - before, 3 * kBytes) << "more than twice the cache";
  const DeviceRows x(*device_, kTokens, kCols, 0.5f), y(*device_, kTokens, kRows, 0);
  const Comparison result = yardstick.time(x.view(), y.view(), {.seconds = 0, .rounds_least = 1}, 1);
  EXPECT_EQ(result.error, "");
  EXPECT_GT(result.seconds, 0);
  EXPECT_EQ(library_.met.size(), 3u);
  std::vector<uint16_t> found(static_cast<size_t>(kTokens * kRows));
  device_->download(std::as_writable_bytes(std::span(found)), static_cast<const std::byte*>(y.view().data));
  for (int64_t i = 0; i < kTokens * kRows; ++i) {
    float sum = 0;
    for (int64_t c = 0; c < kCols; ++c) sum += values_[static_cast<size_t>(i % kRows % kPackRows * kCols + c)] / 2;
    ASSERT_EQ(f32_from_bf16(found[static_cast<size_t>(i)]), sum) << "row " << i % kRows;
  }
}

TEST_F(LinearYardstickTest, AnErrorIsTheResultAndTheDeviceGoesOn) {
  LinearYardstick yardstick(*device_, library_, nullptr);
  yardstick.hold(kRows, kCols, values_, 0);
  const DeviceRows x(*device_, kTokens, kCols, 0.5f), y(*device_, kTokens, kRows, 0);
  library_.run_error = "it does not run";
  const Comparison result = yardstick.time(x.view(), y.view(), {}, 1);
  EXPECT_EQ(result.error, "it does not run");
  EXPECT_EQ(result.seconds, 0) << "no recording was tried";
  library_.plan_error = "it has no kernel";
  EXPECT_EQ(yardstick.time(x.view(), y.view(), {}, 1).error, "it has no kernel");
  EXPECT_EQ(device_->error(), "");
}

}  // namespace
}  // namespace halftone::bench
