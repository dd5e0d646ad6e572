// Embedding and the norm that stands alone, on every device.
#include <gtest/gtest.h>

#include "kernels/cpu/cpu_device.h"
#include "kernels/reference/operations.h"
#include "kernels/weights/weights.h"
#include "tests/kernels/devices/every_device.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

class RowsOperation : public OnDeviceParam {
 protected:
  Ledger ledger_;
  std::mt19937 random_{7};
};

// To the bit, scaled and not. Two steps, and nobody waits between them. Rows behind the tokens hold nothing of
// interest.
TEST_P(RowsOperation, EmbeddingIsARowOfWhatIsUnpacked) {
  constexpr int64_t kVocabulary = 70, kDim = 192, kRows = 8;
  const std::vector<int32_t> steps[] = {{0, 69, 17, 17, 64}, {3, 2, 1, 68, 33}};
  const std::vector<AttentionSequence> sequences(steps[0].size());
  const std::vector<float> before(kRows * kDim, 1);
  const std::unique_ptr<Device> cpu = make_cpu_device({.threads = 1, .isa = ""}, ledger_);
  for (const WeightFormat* format : all_weight_formats()) {
    if (!(*worker)->supports(*format, Activations::kA16)) continue;
    for (int group : format->code_bits > 0 ? std::vector<int>{0, 16, 128} : std::vector<int>{0}) {
      const auto packed = PackedCase::random(*cpu, *format, kVocabulary, kDim, random_, group);
      if (!packed) continue;
      const MatrixOnDevice matrix(**worker, packed->matrix());
      const RowsOnDevice outputs[] = {{**worker, before, kRows, kDim, 8}, {**worker, before, kRows, kDim, 8}};
      const float scales[] = {1, 24.5f};
      for (int step : {0, 1}) {
        const int64_t rows = (*worker)->begin({steps[step], sequences, kRows});
        (*worker)->embed({&matrix.matrix(), rows_of(outputs[step].tensor(), 0, rows), scales[step]});
      }
      for (int step : {0, 1}) {
        std::vector<float> expected(steps[step].size() * kDim);
        reference::embed({steps[step], {}}, {&packed->matrix(), f32_tensor(expected.data(), 5, kDim), scales[step]});
        const std::vector<float> got = outputs[step].download();
        EXPECT_TRUE(same_bits(std::span(got).first(expected.size()), as_activations(**worker, expected)))
            << format->name << " by " << group << ", scale " << scales[step];
        EXPECT_TRUE(outputs[step].gaps_are_untouched());
      }
    }
  }
}

// One row and many, one column and more than a CTA has threads; beside x, over it, and added to what was there.
TEST_P(RowsOperation, NormsOfRows) {
  enum class Target { kOther, kSame, kAdded };
  for (int64_t rows : {1, 5}) {
    for (int64_t cols : {1, 15, 16, 33, 256, 257, 4200}) {
      std::vector<float> weight = normal_floats(random_, cols);
      const OnDevice<float> device_weight(**worker, weight);
      for (Target target : {Target::kOther, Target::kSame, Target::kAdded}) {
        std::vector<float> x = as_activations(**worker, normal_floats(random_, rows * cols, 0.01f));
        std::vector<float> y = as_activations(**worker, normal_floats(random_, rows * cols));
        const RowsOnDevice device_x(**worker, x, rows, cols, 3), device_y(**worker, y, rows, cols, 5);
        const RowsOnDevice& to = target == Target::kSame ? device_x : device_y;
        NormCall call{device_x.tensor(), device_weight.data(), 1e-3f, target == Target::kAdded, to.tensor()};
        (*worker)->norm(call);
        call.x = f32_tensor(x.data(), rows, cols), call.y = f32_tensor(y.data(), rows, cols);
        call.weight = weight.data();
        const std::vector<reference::Bounded> exact = reference::exact_norm(call, rounding_of(**worker));
        reference::norm(call);
        EXPECT_TRUE(agrees(**worker, to.download(), y, exact))
            << rows << " x " << cols << ", target " << static_cast<int>(target);
        EXPECT_TRUE(to.gaps_are_untouched());
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryDevice, RowsOperation, testing::ValuesIn(every_device()), name_of_device_param);

}  // namespace
}  // namespace halftone::test
