// Products of every weight format, and what is fused into them, on every device.
#include <gtest/gtest.h>

#include "kernels/cpu/cpu_device.h"
#include "kernels/reference/operations.h"
#include "kernels/weights/weights.h"
#include "tests/kernels/devices/every_device.h"
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

enum class Kind { kPlain, kBias, kAdd, kNormBias, kNormSwiglu, kGelu, kBiasAddendAdd, kCap, kCapGateAdd };
constexpr Kind kKinds[] = {Kind::kPlain, Kind::kBias,          Kind::kAdd, Kind::kNormBias,  Kind::kNormSwiglu,
                           Kind::kGelu,  Kind::kBiasAddendAdd, Kind::kCap, Kind::kCapGateAdd};

bool has_norm(Kind kind) { return kind == Kind::kNormBias || kind == Kind::kNormSwiglu; }
bool has_bias(Kind kind) { return kind == Kind::kBias || kind == Kind::kNormBias || kind == Kind::kBiasAddendAdd; }
bool has_gelu(Kind kind) { return kind == Kind::kGelu || kind == Kind::kBiasAddendAdd; }
bool has_gate(Kind kind) { return has_gelu(kind) || kind == Kind::kNormSwiglu || kind == Kind::kCapGateAdd; }
bool has_cap(Kind kind) { return kind == Kind::kCap || kind == Kind::kCapGateAdd; }
bool has_add(Kind kind) { return kind == Kind::kAdd || kind == Kind::kBiasAddendAdd || kind == Kind::kCapGateAdd; }

// A matrix, or two, with everything that a call may carry: on the CPU and on a device.
class LinearCase {
 public:
  LinearCase(Device& device, PackedCase weights, PackedCase gate, std::mt19937& random)
      : packed_(std::move(weights)),
        packed_gate_(std::move(gate)),
        weights_(device, packed_.matrix()),
        gate_(device, packed_gate_.matrix()),
        bias_(normal_floats(random, rows())),
        norm_(normal_floats(random, cols())),
        x_(as_activations(device, normal_floats(random, kMostTokens * cols()))),
        y_(as_activations(device, normal_floats(random, kMostTokens * rows()))),
        addend_(as_activations(device, normal_floats(random, kMostTokens * rows()))),
        device_(device),
        device_bias_(device, bias_),
        device_norm_(device, norm_),
        device_addend_(device, addend_, kMostTokens, rows(), 3) {}

  int64_t rows() const { return packed_.matrix().shape.rows; }
  int64_t cols() const { return packed_.matrix().shape.cols; }
  void set_activations(Activations activations) { activations_ = activations; }

  // Makes the inputs from a column on larger or smaller, by a power of two.
  void scale_inputs(int64_t first_column, float factor) {
    for (size_t i = 0; i < x_.size(); ++i) {
      if (static_cast<int64_t>(i) % cols() >= first_column) x_[i] *= factor;
    }
  }

  std::vector<float> on_device(Kind kind, int64_t tokens, int64_t gap) {
    const RowsOnDevice x(device_, x_, tokens, cols(), gap), y(device_, y_, tokens, rows(), gap);
    const LinearCall call = this->call(kind, x, y);
    device_.linear({&call, 1});
    EXPECT_TRUE(y.gaps_are_untouched());
    return y.download();
  }
  LinearCall call(Kind kind, const RowsOnDevice& x, const RowsOnDevice& y) const {
    LinearCall call = fill(kind, weights_.matrix(), gate_.matrix(), device_norm_.data(), device_bias_.data());
    call.x = x.tensor(), call.y = y.tensor();
    if (kind == Kind::kBiasAddendAdd) call.epilogue.gate.addend = rows_of(device_addend_.tensor(), 0, call.x.rows);
    return call;
  }
  void take_inputs_of(const LinearCase& other) { x_ = other.x_, norm_ = other.norm_; }
  RowsOnDevice x_on_device(int64_t tokens) const { return {device_, x_, tokens, cols(), 0}; }
  RowsOnDevice y_on_device(int64_t tokens) const { return {device_, y_, tokens, rows(), 8}; }

  // Whether a device's result is as its class says.
  testing::AssertionResult is_right(const std::vector<float>& got, Kind kind, int64_t tokens) {
    std::vector<float> x = x_, y = y_;
    LinearCall call = fill(kind, packed_.matrix(), packed_gate_.matrix(), norm_.data(), bias_.data());
    call.x = f32_tensor(x.data(), tokens, cols()), call.y = f32_tensor(y.data(), tokens, rows());
    if (kind == Kind::kBiasAddendAdd) call.epilogue.gate.addend = f32_tensor(addend_.data(), tokens, rows());
    const std::vector<reference::Bounded> exact = reference::exact_linear(call, rounding_of(device_));
    if (is_ordered(device_)) reference::linear(call);
    y.resize(got.size());
    return agrees(device_, got, y, exact);
  }

 private:
  LinearCall fill(Kind kind, const PackedMatrix& weights, const PackedMatrix& gate, const float* norm,
                  const float* bias) const {
    LinearCall call;
    call.weights = &weights;
    call.activations = activations_;
    if (has_norm(kind)) call.rms_weight = norm, call.rms_epsilon = 1e-5f;
    if (has_bias(kind)) call.epilogue.bias = bias;
    if (has_gate(kind)) call.epilogue.gate.matrix = &gate;
    if (has_gelu(kind)) call.epilogue.gate.kind = GateKind::kGeluTanh;
    if (has_cap(kind)) call.epilogue.cap = 0.5f;
    call.epilogue.add_to_y = has_add(kind);
    return call;
  }

  PackedCase packed_, packed_gate_;
  MatrixOnDevice weights_, gate_;
  std::vector<float> bias_, norm_, x_, y_, addend_;
  Activations activations_ = Activations::kA16;
  Device& device_;
  OnDevice<float> device_bias_, device_norm_;
  RowsOnDevice device_addend_;
};

class LinearOperation : public OnDeviceParam {
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
      std::optional<PackedCase> weights = pack(), gate = pack();
      if (weights && gate) made.emplace_back(**worker, std::move(*weights), std::move(*gate), random_);
    }
    return made;
  }

  std::vector<Activations> supported(const WeightFormat& format) const {
    std::vector<Activations> all;
    for (Activations one : {Activations::kA16, Activations::kA8, Activations::kA8Token}) {
      if ((*worker)->supports(format, one)) all.push_back(one);
    }
    return all;
  }

  Ledger ledger_;
  std::unique_ptr<Device> cpu_;
  std::mt19937 random_{7};
};

// Activations take turns where the device has several.
TEST_P(LinearOperation, EverythingThatIsFused) {
  for (const WeightFormat* format : all_weight_formats()) {
    if (!(*worker)->supports(*format, Activations::kA16)) continue;
    const std::vector<Activations> activations = supported(*format);
    for (int group : format->code_bits > 0 ? std::vector<int>{0, 16, 32, 128} : std::vector<int>{0}) {
      int64_t turn = 0;
      for (LinearCase& made : cases(*format, group)) {
        for (Kind kind : kKinds) {
          const int64_t tokens = kBatches[turn % std::ssize(kBatches)];
          made.set_activations(activations[static_cast<size_t>(turn++) % activations.size()]);
          EXPECT_TRUE(made.is_right(made.on_device(kind, tokens, 8), kind, tokens))
              << format->name << " by " << group << ", " << made.rows() << " x " << made.cols() << ", kind "
              << static_cast<int>(kind) << ", " << tokens << " tokens";
        }
      }
    }
  }
}

// More columns than a thread keeps between a norm's sum and its end, those weighing most; rows that are aligned, and
// that are not.
TEST_P(LinearOperation, NormsOfManyColumns) {
  for (const WeightFormat* format : all_weight_formats()) {
    if (!(*worker)->supports(*format, Activations::kA16)) continue;
    auto pack = [&] { return PackedCase::random(*cpu_, *format, 2, kMostCols, random_); };
    std::optional<PackedCase> weights = pack(), gate = pack();
    if (!weights || !gate) continue;
    LinearCase made(**worker, std::move(*weights), std::move(*gate), random_);
    made.scale_inputs(4096, 32);
    for (int64_t gap : {0, 1}) {
      EXPECT_TRUE(made.is_right(made.on_device(Kind::kNormBias, 3, gap), Kind::kNormBias, 3))
          << format->name << ", gap " << gap;
    }
  }
}

// Inputs whose mean square is less than the norm's epsilon.
TEST_P(LinearOperation, NormsOfSmallInputs) {
  const WeightFormat& format = *find_weight_format("bf16");
  std::optional<PackedCase> weights = PackedCase::random(*cpu_, format, 40, 100, random_),
                            gate = PackedCase::random(*cpu_, format, 40, 100, random_);
  LinearCase made(**worker, std::move(*weights), std::move(*gate), random_);
  made.scale_inputs(0, 0x1p-10f);
  EXPECT_TRUE(made.is_right(made.on_device(Kind::kNormBias, 9, 0), Kind::kNormBias, 9));
}

// The same bits for a token whatever its company: other tiles, other blocks, the same order of adding up.
TEST_P(LinearOperation, DoesNotDependOnTheBatch) {
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

// Pieces of the inputs that many blocks share for few tokens, and that one block walks for many: the same bits.
TEST_P(LinearOperation, WalkedKSplitsHaveTheBitsOfSplitK) {
  for (const WeightFormat* format : all_weight_formats()) {
    if (!(*worker)->supports(*format, Activations::kA16)) continue;
    auto pack = [&] { return PackedCase::random(*cpu_, *format, 200, 1088, random_); };
    std::optional<PackedCase> weights = pack(), gate = pack();
    if (!weights || !gate) continue;
    LinearCase made(**worker, std::move(*weights), std::move(*gate), random_);
    const std::vector<float> walked = made.on_device(Kind::kBias, kMostTokens, 0);
    const std::vector<float> shared = made.on_device(Kind::kBias, 3, 0);
    EXPECT_TRUE(same_bits(shared, std::span(walked).first(shared.size()))) << format->name;
  }
}

// Calls of one input, as of queries, keys and values: alike, so that one kernel serves them, and not; with pieces of
// the inputs and without.
TEST_P(LinearOperation, CallsOfOneInput) {
  struct Weights {
    const char* format;
    int group;
  };
  const Weights kCalls[][3] = {{{"w4", 32}, {"w4", 32}, {"w4", 32}},
                               {{"w8", 0}, {"w8", 0}, {"w8", 32}},
                               {{"w4", 32}, {"w4", 16}, {"w4", 32}},
                               {{"bf16", 0}, {"bf16", 0}, {"bf16", 0}},
                               {{"w8", 32}, {"w4", 32}, {"w4", 32}}};
  const int64_t kRows[] = {130, 64, 33};
  for (const Weights(&calls)[3] : kCalls) {
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
      const RowsOnDevice x = cases[0].x_on_device(tokens);
      std::vector<RowsOnDevice> y;
      for (const LinearCase& made : cases) y.push_back(made.y_on_device(tokens));
      const LinearCall joined[] = {cases[0].call(kind, x, y[0]), cases[1].call(kind, x, y[1]),
                                   cases[2].call(kind, x, y[2])};
      (*worker)->linear(joined);
      for (size_t i = 0; i < cases.size(); ++i) {
        EXPECT_TRUE(cases[i].is_right(y[i].download(), kind, tokens))
            << calls[i].format << " by " << calls[i].group << ", call " << i << ", " << tokens << " tokens";
        EXPECT_TRUE(y[i].gaps_are_untouched());
      }
    }
  }
}

// A matrix and its gate in formats of their own.
TEST_P(LinearOperation, AGateOfAnotherFormat) {
  auto pack = [&](const char* format, int group) {
    return *PackedCase::random(*cpu_, *find_weight_format(format), 70, 257, random_, group);
  };
  LinearCase groups(**worker, pack("w4", 32), pack("w4", 64), random_);
  LinearCase formats(**worker, pack("w8", 0), pack("w4", 32), random_);
  for (int64_t tokens : {1, 65}) {
    for (LinearCase* made : {&groups, &formats}) {
      EXPECT_TRUE(made->is_right(made->on_device(Kind::kNormSwiglu, tokens, 8), Kind::kNormSwiglu, tokens))
          << tokens << " tokens";
    }
  }
}

// Logits: float32, a plain product with a cap; more rows than the workspace has room for beside it, and few.
TEST_P(LinearOperation, CapsOfLogits) {
  for (const WeightFormat* format : all_weight_formats()) {
    if (!(*worker)->supports(*format, Activations::kA16)) continue;
    for (int64_t rows : {70, 9000}) {
      const std::optional<PackedCase> packed = PackedCase::random(*cpu_, *format, rows, 64, random_);
      if (!packed) continue;
      const MatrixOnDevice matrix(**worker, packed->matrix());
      std::vector<float> x = as_activations(**worker, normal_floats(random_, 3 * 64)), y(static_cast<size_t>(3 * rows));
      const RowsOnDevice device_x(**worker, x, 3, 64);
      const OnDevice<float> device_y(**worker, y);
      LinearCall call;
      call.weights = &matrix.matrix();
      call.epilogue.cap = 0.25f;
      call.x = device_x.tensor(), call.y = f32_tensor(device_y.data(), 3, rows);
      (*worker)->linear({&call, 1});
      call.weights = &packed->matrix();
      call.x = f32_tensor(x.data(), 3, 64), call.y = f32_tensor(y.data(), 3, rows);
      reference::LinearRounding rounding = rounding_of(**worker);
      rounding.output = 0;
      const std::vector<reference::Bounded> exact = reference::exact_linear(call, rounding);
      reference::linear(call);
      EXPECT_TRUE(agrees(**worker, device_y.download(), y, exact)) << format->name << ", " << rows << " rows";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryDevice, LinearOperation, testing::ValuesIn(every_device()), name_of_device_param);

}  // namespace
}  // namespace halftone::test
