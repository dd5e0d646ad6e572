// What the CPU's products must not depend on: the number of tokens, threads, other products of the same inputs. What is
// fused is with the tests of every device (tests/kernels/devices).
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "kernels/reference/operations.h"
#include "kernels/weights/weights.h"
#include "tests/kernels/devices.h"
#include "tests/kernels/packed_case.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

struct Param {
  TestDevice device;
  const WeightFormat* format;
  int group = 0;
  Activations activations = Activations::kA16;
};

const char* activations_name(Activations activations) {
  constexpr const char* kNames[] = {"a16", "a8", "a8t"};
  return kNames[static_cast<int>(activations)];
}

void PrintTo(const Param& param, std::ostream* out) {
  *out << full_name(param.device) << " " << param.format->name << " by " << param.group << " "
       << activations_name(param.activations);
}

std::vector<Param> all_params() {
  std::vector<Param> params;
  for (const TestDevice& device : all_test_devices()) {
    for (const WeightFormat* format : all_weight_formats()) {
      bool grouped = format->unpack_codes != nullptr;
      for (int group : grouped ? std::vector<int>{32, 0, 128} : std::vector<int>{0}) {
        params.push_back({device, format, group, Activations::kA16});
        if (!grouped) continue;
        params.push_back({device, format, group, Activations::kA8});
        params.push_back({device, format, group, Activations::kA8Token});
      }
    }
  }
  return params;
}

std::string name_of(const testing::TestParamInfo<Param>& info) {
  const Param& param = info.param;
  std::string group = param.group > 0 ? "g" + std::to_string(param.group) : "";
  return param.device.name + "_" + param.device.isa + "_" + std::string(param.format->name) + group + "_" +
         activations_name(param.activations);
}

struct Shape {
  int64_t rows, cols;
};

// One row, one column, ends of blocks and groups, whole ones, more rows than are packed at once.
constexpr Shape kShapes[] = {{1, 1},   {1, 33},  {3, 5},    {15, 64},  {16, 32},
                             {17, 31}, {33, 96}, {40, 100}, {64, 160}, {70, 257}};

std::vector<int64_t> all_batches() {
  std::vector<int64_t> batches;
  for (int64_t m = 1; m <= 17; ++m) batches.push_back(m);
  batches.push_back(33);
  return batches;
}

enum class Kind { kPlain, kBias, kNormSwiglu };

// One matrix (two where there is a gate) with everything that a call may carry.
class LinearCase {
 public:
  static std::optional<LinearCase> make(Device& device, const Param& param, Shape shape, std::mt19937& random) {
    auto pack = [&] { return PackedCase::random(device, *param.format, shape.rows, shape.cols, random, param.group); };
    std::optional<PackedCase> weights = pack(), gate = pack();
    if (!weights || !gate) return std::nullopt;
    LinearCase made{std::move(*weights), std::move(*gate), {}, {}, {}, {}, param.activations};
    made.bias = normal_floats(random, shape.rows);
    made.norm = normal_floats(random, shape.cols);
    made.x = normal_floats(random, 33 * shape.cols);
    made.y = normal_floats(random, 33 * shape.rows);
    return made;
  }

  LinearCall call(Kind kind, Tensor inputs, Tensor outputs) const {
    LinearCall call;
    call.weights = &weights.matrix();
    call.activations = activations;
    call.x = inputs;
    call.y = outputs;
    if (kind == Kind::kNormSwiglu) {
      call.rms_weight = norm.data();
      call.rms_epsilon = 1e-5f;
      call.epilogue.gate.matrix = &gate.matrix();
    }
    if (kind == Kind::kBias) call.epilogue.bias = bias.data();
    return call;
  }

  StridedMatrix inputs(int64_t tokens, int64_t gap) const {
    return filled(x, tokens, weights.matrix().shape.cols, gap);
  }
  StridedMatrix outputs(int64_t tokens, int64_t gap) const {
    return filled(y, tokens, weights.matrix().shape.rows, gap);
  }

  PackedCase weights, gate;
  std::vector<float> bias, norm, x, y;
  Activations activations;

 private:
  static StridedMatrix filled(const std::vector<float>& values, int64_t rows, int64_t cols, int64_t gap) {
    StridedMatrix matrix(rows, cols, gap);
    for (int64_t r = 0; r < rows; ++r) std::copy_n(values.begin() + r * cols, cols, matrix.row(r).begin());
    return matrix;
  }
};

class LinearTest : public OnEachDevice<Param> {
 protected:
  void SetUp() override {
    start(GetParam().device);
    if (IsSkipped() || HasFatalFailure()) return;
    const WeightFormat& format = *GetParam().format;
    if (!(*worker)->supports(format, GetParam().activations))
      GTEST_SKIP() << "no kernel for " << format.name << " here";
    for (Shape shape : kShapes) {
      std::optional<LinearCase> made = LinearCase::make(**worker, GetParam(), shape, random_);
      if (made) cases.push_back(std::move(*made));
    }
    ASSERT_FALSE(cases.empty()) << "no shape at all fits the format";
  }

  static std::vector<float> on(Device& device, const LinearCase& made, Kind kind, int64_t tokens, int64_t gap) {
    StridedMatrix x = made.inputs(tokens, gap), y = made.outputs(tokens, gap);
    const LinearCall call = made.call(kind, x.tensor(), y.tensor());
    device.linear({&call, 1});
    EXPECT_TRUE(y.gaps_are_untouched());
    EXPECT_TRUE(same_bits(x.dense(), made.inputs(tokens, 0).dense())) << "x was changed";
    return y.dense();
  }

  static std::vector<float> in_reference(const LinearCase& made, Kind kind, int64_t tokens) {
    StridedMatrix x = made.inputs(tokens, 0), y = made.outputs(tokens, 0);
    reference::linear(made.call(kind, x.tensor(), y.tensor()));
    return y.dense();
  }

  std::vector<LinearCase> cases;

 private:
  std::mt19937 random_{7};
};

std::string where(const LinearCase& made, Kind kind, int64_t tokens) {
  const PackedShape& shape = made.weights.matrix().shape;
  return std::to_string(shape.rows) + " x " + std::to_string(shape.cols) + ", kind " +
         std::to_string(static_cast<int>(kind)) + ", " + std::to_string(tokens) + " tokens";
}

TEST_P(LinearTest, HasTheBitsOfTheReferenceForEveryBatch) {
  for (const LinearCase& made : cases) {
    const std::vector<float> expected = in_reference(made, Kind::kPlain, 33);
    for (int64_t tokens : all_batches()) {
      const std::span<const float> rows(expected.data(),
                                        static_cast<size_t>(tokens * made.weights.matrix().shape.rows));
      EXPECT_TRUE(same_bits(on(**worker, made, Kind::kPlain, tokens, 0), rows)) << where(made, Kind::kPlain, tokens);
    }
  }
}

TEST_P(LinearTest, DoesNotDependOnTheNumberOfThreads) {
  for (int threads : {1, 3}) {
    const Worker other(GetParam().device, threads);
    for (const LinearCase& made : cases) {
      for (int64_t tokens : {1, 17}) {
        EXPECT_TRUE(
            same_bits(on(*other, made, Kind::kNormSwiglu, tokens, 0), on(**worker, made, Kind::kNormSwiglu, tokens, 0)))
            << where(made, Kind::kNormSwiglu, tokens) << ", " << threads << " threads";
      }
    }
  }
}

// q, k and v of one normalized x: three matrices of different heights as one piece of work.
TEST_P(LinearTest, ProductsOfOneInputAreTheSameTogetherAsAlone) {
  std::mt19937 random(11);
  std::vector<LinearCase> parts;
  for (int64_t rows : {48, 17, 16}) {
    std::optional<LinearCase> made = LinearCase::make(**worker, GetParam(), {rows, 64}, random);
    if (!made) GTEST_SKIP() << "the format can't hold these shapes";
    parts.push_back(std::move(*made));
  }
  for (int64_t tokens : {1, 5, 12}) {
    StridedMatrix x = parts[0].inputs(tokens, 0);
    std::vector<StridedMatrix> outputs;
    std::vector<LinearCall> calls;
    for (const LinearCase& part : parts) outputs.push_back(part.outputs(tokens, 0));
    for (size_t i = 0; i < parts.size(); ++i) {
      calls.push_back(parts[i].call(Kind::kBias, x.tensor(), outputs[i].tensor()));
      calls.back().rms_weight = parts[0].norm.data();
    }
    (*worker)->linear(calls);
    for (size_t i = 0; i < parts.size(); ++i) {
      const std::vector<float> together = outputs[i].dense();
      reference::linear(calls[i]);
      EXPECT_TRUE(same_bits(together, outputs[i].dense())) << "part " << i << ", " << tokens << " tokens";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllFormats, LinearTest, testing::ValuesIn(all_params()), name_of);

}  // namespace
}  // namespace halftone::test
