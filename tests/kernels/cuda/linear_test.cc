// Products of every weight format on the CUDA backend, within the bound of double.
#include <gtest/gtest.h>

#include "kernels/cpu/cpu_device.h"
#include "kernels/weights/weights.h"
#include "tests/kernels/cuda/on_cuda.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

struct Shape {
  int64_t rows, cols;
};
// One row and column, ends of blocks, tiles, segments and groups, more than one split of the inputs.
constexpr Shape kShapes[] = {{1, 1},    {3, 5},    {17, 31},   {64, 64},  {65, 96},
                             {40, 100}, {70, 257}, {130, 192}, {48, 1088}};
constexpr int64_t kBatches[] = {1, 7, 8, 9, 16, 17, 64, 65};
constexpr int64_t kMostTokens = 65, kMostCols = 4200;

enum class Kind { kPlain, kBias, kAdd, kNormBias, kNormSwiglu };
constexpr Kind kKinds[] = {Kind::kPlain, Kind::kBias, Kind::kAdd, Kind::kNormBias, Kind::kNormSwiglu};

// A matrix, or two, with everything that a call may carry: on the CPU and on a device.
class LinearCase {
 public:
  LinearCase(Device& device, PackedCase weights, PackedCase up, std::mt19937& random)
      : packed_(std::move(weights)),
        packed_up_(std::move(up)),
        weights_(device, packed_.matrix()),
        up_(device, packed_up_.matrix()),
        bias_(normal_floats(random, rows())),
        norm_(normal_floats(random, cols())),
        x_(as_bf16(normal_floats(random, kMostTokens * cols()))),
        y_(as_bf16(normal_floats(random, kMostTokens * rows()))),
        device_(device),
        device_bias_(device, bias_),
        device_norm_(device, norm_) {}

  int64_t rows() const { return packed_.matrix().shape.rows; }
  int64_t cols() const { return packed_.matrix().shape.cols; }

  // Makes the inputs from a column on larger or smaller, by a power of two.
  void scale_inputs(int64_t first_column, float factor) {
    for (size_t i = 0; i < x_.size(); ++i) {
      if (static_cast<int64_t>(i) % cols() >= first_column) x_[i] *= factor;
    }
  }

  std::vector<float> on_device(Kind kind, int64_t tokens, int64_t gap) {
    const Bf16OnDevice x(device_, x_, tokens, cols(), gap), y(device_, y_, tokens, rows(), gap);
    const LinearCall call = this->call(kind, x, y);
    device_.linear({&call, 1});
    EXPECT_TRUE(y.gaps_are_untouched());
    return y.download();
  }
  LinearCall call(Kind kind, const Bf16OnDevice& x, const Bf16OnDevice& y) const {
    LinearCall call = fill(kind, weights_.matrix(), up_.matrix(), device_norm_.data(), device_bias_.data());
    call.x = x.tensor(), call.y = y.tensor();
    return call;
  }
  void take_inputs_of(const LinearCase& other) { x_ = other.x_, norm_ = other.norm_; }
  Bf16OnDevice x_on_device(int64_t tokens) const { return {device_, x_, tokens, cols(), 0}; }
  Bf16OnDevice y_on_device(int64_t tokens) const { return {device_, y_, tokens, rows(), 8}; }
  std::vector<reference::Bounded> exact(Kind kind, int64_t tokens) {
    std::vector<float> x = x_, y = y_;
    LinearCall call = fill(kind, packed_.matrix(), packed_up_.matrix(), norm_.data(), bias_.data());
    call.x = f32_tensor(x.data(), tokens, cols()), call.y = f32_tensor(y.data(), tokens, rows());
    return reference::exact_linear(call, {reference::kBf16Rounding, reference::kBf16Rounding, true});
  }

 private:
  LinearCall fill(Kind kind, const PackedMatrix& weights, const PackedMatrix& up, const float* norm,
                  const float* bias) const {
    LinearCall call;
    call.weights = &weights;
    if (kind == Kind::kNormBias || kind == Kind::kNormSwiglu) call.rms_weight = norm, call.rms_epsilon = 1e-5f;
    if (kind == Kind::kBias || kind == Kind::kNormBias) call.epilogue.bias = bias;
    if (kind == Kind::kNormSwiglu) call.epilogue.swiglu_up = &up;
    call.epilogue.add_to_y = kind == Kind::kAdd;
    return call;
  }

  PackedCase packed_, packed_up_;
  MatrixOnDevice weights_, up_;
  std::vector<float> bias_, norm_, x_, y_;
  Device& device_;
  OnDevice<float> device_bias_, device_norm_;
};

class CudaLinearTest : public OnCuda {
 protected:
  void SetUp() override {
    cuda_host::configure(GetParam().settings);
    start(GetParam().device, {.max_tokens = kMostTokens, .max_cols = kMostCols});
    cpu_ = make_cpu_device({.threads = 1, .isa = ""}, ledger_);
  }

  std::vector<LinearCase> cases(const WeightFormat& format, int group) {
    std::vector<LinearCase> made;
    // All shapes in one order of fibers, half of them in each of the others.
    const uint64_t seed = GetParam().settings.seed;
    for (size_t i = 0; i < std::size(kShapes); ++i) {
      if (seed != 0 && (i + seed) % 2 != 0) continue;
      const Shape shape = kShapes[i];
      auto pack = [&] { return PackedCase::random(*cpu_, format, shape.rows, shape.cols, random_, group); };
      std::optional<PackedCase> weights = pack(), up = pack();
      if (weights && up) made.emplace_back(**worker, std::move(*weights), std::move(*up), random_);
    }
    return made;
  }

  Ledger ledger_;
  std::unique_ptr<Device> cpu_;
  std::mt19937 random_{7};
};

TEST_P(CudaLinearTest, LiesWithinTheBoundOfDouble) {
  for (const WeightFormat* format : all_weight_formats()) {
    if (!(*worker)->supports(*format, Activations::kA16)) continue;
    for (int group : format->code_bits > 0 ? std::vector<int>{0, 16, 32, 128} : std::vector<int>{0}) {
      int64_t turn = 0;
      for (LinearCase& made : cases(*format, group)) {
        for (Kind kind : kKinds) {
          const int64_t tokens = kBatches[turn++ % std::ssize(kBatches)];
          EXPECT_TRUE(within_bounds(made.on_device(kind, tokens, 8), made.exact(kind, tokens)))
              << format->name << " by " << group << ", " << made.rows() << " x " << made.cols() << ", kind "
              << static_cast<int>(kind) << ", " << tokens << " tokens";
        }
      }
    }
  }
}

// More columns than a thread keeps between a norm's sum and its end, those weighing most; rows that are aligned, and
// that are not.
TEST_P(CudaLinearTest, NormsOfManyColumns) {
  for (const WeightFormat* format : all_weight_formats()) {
    if (!(*worker)->supports(*format, Activations::kA16)) continue;
    auto pack = [&] { return PackedCase::random(*cpu_, *format, 2, kMostCols, random_); };
    std::optional<PackedCase> weights = pack(), up = pack();
    if (!weights || !up) continue;
    LinearCase made(**worker, std::move(*weights), std::move(*up), random_);
    made.scale_inputs(4096, 32);
    for (int64_t gap : {0, 1}) {
      EXPECT_TRUE(within_bounds(made.on_device(Kind::kNormBias, 3, gap), made.exact(Kind::kNormBias, 3)))
          << format->name << ", gap " << gap;
    }
  }
}

// Inputs whose mean square is less than the norm's epsilon.
TEST_P(CudaLinearTest, NormsOfSmallInputs) {
  const WeightFormat& format = *find_weight_format("bf16");
  std::optional<PackedCase> weights = PackedCase::random(*cpu_, format, 40, 100, random_),
                            up = PackedCase::random(*cpu_, format, 40, 100, random_);
  LinearCase made(**worker, std::move(*weights), std::move(*up), random_);
  made.scale_inputs(0, 0x1p-10f);
  EXPECT_TRUE(within_bounds(made.on_device(Kind::kNormBias, 9, 0), made.exact(Kind::kNormBias, 9)));
}

// The same bits for a token whatever its company: other n-tiles, other CTAs, the same order of adding up.
TEST_P(CudaLinearTest, DoesNotDependOnTheBatch) {
  for (const WeightFormat* format : all_weight_formats()) {
    if (!(*worker)->supports(*format, Activations::kA16)) continue;
    for (LinearCase& made : cases(*format, 0)) {
      const std::vector<float> all = made.on_device(Kind::kNormSwiglu, kMostTokens, 0);
      for (int64_t tokens : kBatches) {
        const std::span<const float> expected(all.data(), static_cast<size_t>(tokens * made.rows()));
        EXPECT_TRUE(same_bits(made.on_device(Kind::kNormSwiglu, tokens, 0), expected))
            << format->name << ", " << made.rows() << " x " << made.cols() << ", " << tokens << " tokens";
      }
    }
  }
}

// K-splits that several CTAs share for few tokens, and that one CTA walks for many: the same bits.
TEST_P(CudaLinearTest, WalkedKSplitsHaveTheBitsOfSplitK) {
  for (const WeightFormat* format : all_weight_formats()) {
    if (!(*worker)->supports(*format, Activations::kA16)) continue;
    auto pack = [&] { return PackedCase::random(*cpu_, *format, 200, 1088, random_); };
    std::optional<PackedCase> weights = pack(), up = pack();
    if (!weights || !up) continue;
    LinearCase made(**worker, std::move(*weights), std::move(*up), random_);
    const std::vector<float> walked = made.on_device(Kind::kBias, kMostTokens, 0);
    const std::vector<float> shared = made.on_device(Kind::kBias, 3, 0);
    EXPECT_TRUE(same_bits(shared, std::span(walked).first(shared.size()))) << format->name;
  }
}

// Calls of one input, as of queries, keys and values: alike, so that they are fused into one launch, and not; with
// split-K and without.
TEST_P(CudaLinearTest, CallsOfOneInput) {
  struct CallFormat {
    const char* format;
    int group;
  };
  const CallFormat kCalls[][3] = {{{"w4", 32}, {"w4", 32}, {"w4", 32}},
                                  {{"w8", 0}, {"w8", 0}, {"w8", 32}},
                                  {{"w4", 32}, {"w4", 16}, {"w4", 32}},
                                  {{"bf16", 0}, {"bf16", 0}, {"bf16", 0}},
                                  {{"w8", 32}, {"w4", 32}, {"w4", 32}}};
  const int64_t kRows[] = {130, 64, 33};
  for (const CallFormat(&calls)[3] : kCalls) {
    std::vector<LinearCase> cases;
    for (int i = 0; i < 3; ++i) {
      auto pack = [&] {
        const WeightFormat& format = *find_weight_format(calls[i].format);
        return *PackedCase::random(*cpu_, format, kRows[i], 1088, random_, calls[i].group);
      };
      cases.emplace_back(**worker, pack(), pack(), random_);
      cases.back().take_inputs_of(cases.front());
    }
    for (const auto& [kind, tokens] : {std::pair(Kind::kNormBias, 3), {Kind::kPlain, 1}, {Kind::kAdd, 65}}) {
      const Bf16OnDevice x = cases[0].x_on_device(tokens);
      std::vector<Bf16OnDevice> y;
      for (const LinearCase& made : cases) y.push_back(made.y_on_device(tokens));
      const LinearCall joined[] = {cases[0].call(kind, x, y[0]), cases[1].call(kind, x, y[1]),
                                   cases[2].call(kind, x, y[2])};
      (*worker)->linear(joined);
      for (size_t i = 0; i < cases.size(); ++i) {
        EXPECT_TRUE(within_bounds(y[i].download(), cases[i].exact(kind, tokens)))
            << calls[i].format << " by " << calls[i].group << ", call " << i << ", " << tokens << " tokens";
        EXPECT_TRUE(y[i].gaps_are_untouched());
      }
    }
  }
}

// The two matrices of a SwiGLU in formats of their own.
TEST_P(CudaLinearTest, UnlikeMatricesOfASwiglu) {
  auto pack = [&](const char* format, int group) {
    return *PackedCase::random(*cpu_, *find_weight_format(format), 70, 257, random_, group);
  };
  LinearCase groups(**worker, pack("w4", 32), pack("w4", 64), random_);
  LinearCase formats(**worker, pack("w8", 0), pack("w4", 32), random_);
  for (int64_t tokens : {1, 65}) {
    for (LinearCase* made : {&groups, &formats}) {
      EXPECT_TRUE(within_bounds(made->on_device(Kind::kNormSwiglu, tokens, 8), made->exact(Kind::kNormSwiglu, tokens)))
          << tokens << " tokens";
    }
  }
}

// To the bit; rows behind the tokens are zeros. Two steps, and nobody waits between them.
TEST_P(CudaLinearTest, EmbeddingIsARowOfWhatIsUnpacked) {
  constexpr int64_t kVocabulary = 70, kDim = 192, kRows = 8;
  const std::vector<int32_t> steps[] = {{0, 69, 17, 17, 64}, {3, 2, 1, 68, 33}};
  const std::vector<AttentionSequence> sequences(steps[0].size());
  const std::vector<float> before(kRows * kDim, 1);
  for (const WeightFormat* format : all_weight_formats()) {
    if (!(*worker)->supports(*format, Activations::kA16)) continue;
    for (int group : format->code_bits > 0 ? std::vector<int>{0, 16, 128} : std::vector<int>{0}) {
      const auto packed = PackedCase::random(*cpu_, *format, kVocabulary, kDim, random_, group);
      if (!packed) continue;
      const MatrixOnDevice matrix(**worker, packed->matrix());
      const Bf16OnDevice outputs[] = {{**worker, before, kRows, kDim, 8}, {**worker, before, kRows, kDim, 8}};
      for (int step : {0, 1}) {
        ASSERT_EQ((*worker)->begin({steps[step], sequences, kRows}), kRows);
        (*worker)->embed({&matrix.matrix(), outputs[step].tensor()});
      }
      const std::vector<float> rows = as_bf16(packed->unpacked());
      for (int step : {0, 1}) {
        std::vector<float> expected;
        for (int32_t id : steps[step]) expected.insert(expected.end(), &rows[id * kDim], &rows[id * kDim] + kDim);
        expected.resize(before.size());
        EXPECT_TRUE(same_bits(outputs[step].download(), expected)) << format->name << " by " << group;
        EXPECT_TRUE(outputs[step].gaps_are_untouched());
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllOrders, CudaLinearTest, testing::ValuesIn(all_cuda_params()), name_of_cuda_param);

}  // namespace
}  // namespace halftone::test
