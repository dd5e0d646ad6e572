// Routing and experts on every device: choices exact, the experts' sum to the bit what the device's own products give,
// and the reference's bits where the device is ordered.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/cpu/cpu_device.h"
#include "kernels/reference/operations.h"
#include "kernels/weights/weights.h"
#include "tests/kernels/devices/every_device.h"
#include "tests/kernels/same_bits.h"

namespace halftone::test {
namespace {

// A step of this many tokens, which has more rows of activations.
struct Step {
  Step(Device& device, int64_t tokens, int64_t rows)
      : ids(static_cast<size_t>(tokens)), sequences(static_cast<size_t>(tokens)) {
    rows_begun = device.begin({ids, sequences, rows});
  }
  std::vector<int32_t> ids;
  std::vector<AttentionSequence> sequences;
  int64_t rows_begun = 0;
};

class ExpertsOperation : public OnDeviceParam {
 protected:
  std::mt19937 random_{3};
};

struct Routed {
  std::vector<int32_t> experts;
  std::vector<float> weights;
};

Routed route_on(Device& device, const std::vector<float>& scores, int64_t experts, int64_t chosen, bool normalized) {
  const int64_t rows = std::ssize(scores) / experts;
  const OnDevice<float> on_device(device, scores);
  const OnDevice<int32_t> to(device, std::vector<int32_t>(static_cast<size_t>(rows * chosen), 77));
  const OnDevice<float> weights(device, std::vector<float>(static_cast<size_t>(rows * chosen), 77));
  device.route({f32_tensor(on_device.data(), rows, experts), normalized, {chosen, to.data(), weights.data()}});
  return {to.download(), weights.download()};
}

Routed route_in_reference(const StepBatch& batch, std::vector<float> scores, int64_t experts, int64_t chosen,
                          bool normalized) {
  const int64_t rows = std::ssize(scores) / experts;
  Routed made{std::vector<int32_t>(static_cast<size_t>(rows * chosen)),
              std::vector<float>(static_cast<size_t>(rows * chosen))};
  reference::route(
      batch,
      {f32_tensor(scores.data(), rows, experts), normalized, {chosen, made.experts.data(), made.weights.data()}});
  return made;
}

// Ties go to the smaller number; infinities and NaNs are the last; rows beyond the tokens choose nobody.
TEST_P(ExpertsOperation, ChoosesTheBest) {
  for (auto [experts, chosen] : {std::pair<int64_t, int64_t>{1, 1}, {4, 2}, {31, 8}, {128, 8}, {200, 1}, {9, 9}}) {
    const Step step(**worker, 5, 8);
    std::vector<float> scores = normal_floats(random_, step.rows_begun * experts, 3);
    for (int64_t e = 0; e < experts; e += 3) scores[static_cast<size_t>(e)] = 0.5f;
    if (experts > 8) scores[static_cast<size_t>(experts + 7)] = -HUGE_VALF;
    for (bool normalized : {false, true}) {
      const Routed got = route_on(**worker, scores, experts, chosen, normalized);
      const Routed expected = route_in_reference({step.ids, {}}, scores, experts, chosen, normalized);
      EXPECT_EQ(got.experts, expected.experts) << chosen << " of " << experts;
      if (is_ordered(**worker)) {
        EXPECT_TRUE(same_bits(got.weights, expected.weights)) << chosen << " of " << experts;
      }
      for (size_t i = 0; i < got.weights.size(); ++i) {
        // Of each: an exp of a difference of at most 20, and a sum of at most 200.
        EXPECT_NEAR(got.weights[i], expected.weights[i], 250 * 0x1p-24 * expected.weights[i]);
      }
    }
  }
}

TEST_P(ExpertsOperation, ANanIsNeverBetter) {
  const Step step(**worker, 1, 1);
  const std::vector<float> scores = {std::nanf(""), 1, std::nanf(""), 2, -HUGE_VALF};
  EXPECT_EQ(route_on(**worker, scores, 5, 4, true).experts, (std::vector<int32_t>{3, 1, 0, 2}));
}

TEST_P(ExpertsOperation, WeightsOfTheChosenAddUpToOne) {
  const Step step(**worker, 1, 1);
  const std::vector<float> scores = {1, 3, 2, 0};
  const Routed normalized = route_on(**worker, scores, 4, 2, true), plain = route_on(**worker, scores, 4, 2, false);
  EXPECT_NEAR(normalized.weights[0], 1 / (1 + std::exp(-1.0)), 1e-6);
  EXPECT_NEAR(normalized.weights[0] + normalized.weights[1], 1, 1e-6);
  EXPECT_NEAR(plain.weights[0], std::exp(3.0) / (std::exp(1.0) + std::exp(3.0) + std::exp(2.0) + 1), 1e-6);
}

// A layer of experts, on the CPU and on a device.
class Layer {
 public:
  static constexpr int64_t kDim = 96, kFfn = 70;

  Layer(Device& device, Device& cpu, const WeightFormat& format, int64_t experts, std::mt19937& random)
      : norm_(normal_floats(random, kDim)), device_norm_(device, norm_) {
    packed_.reserve(static_cast<size_t>(3 * experts));
    matrices_.reserve(packed_.capacity());
    for (int64_t e = 0; e < experts; ++e) {
      for (int i = 0; i < 3; ++i) {
        const int64_t rows = i < 2 ? kFfn : kDim, cols = i < 2 ? kDim : kFfn;
        packed_.push_back(*PackedCase::random(cpu, format, rows, cols, random, format.code_bits > 0 ? 16 : 0));
        matrices_.emplace_back(device, packed_.back().matrix());
      }
      const size_t first = static_cast<size_t>(3 * e);
      host_.push_back({&packed_[first].matrix(), &packed_[first + 1].matrix(), &packed_[first + 2].matrix()});
      device_.push_back({&matrices_[first].matrix(), &matrices_[first + 1].matrix(), &matrices_[first + 2].matrix()});
    }
  }

  ExpertsCall call(bool here) const {
    ExpertsCall call;
    call.experts = here ? device_ : host_;
    call.rms_weight = here ? device_norm_.data() : norm_.data();
    call.rms_epsilon = 1e-6f;
    return call;
  }

 private:
  std::vector<PackedCase> packed_;
  std::vector<MatrixOnDevice> matrices_;
  std::vector<Expert> host_, device_;
  std::vector<float> norm_;
  OnDevice<float> device_norm_;
};

// One step of it, with its scratch.
class Mixture {
 public:
  Mixture(Device& device, const Layer& layer, const std::vector<float>& x, const Routed& routed, int64_t chosen)
      : device_(device),
        layer_(layer),
        rows_(std::ssize(x) / Layer::kDim),
        chosen_(chosen),
        x_(x),
        routed_(routed),
        y_(device, x, rows_, Layer::kDim, 3),
        inputs_(device, zeros(Layer::kDim), rows_ * chosen, Layer::kDim),
        gated_(device, zeros(Layer::kFfn), rows_ * chosen, Layer::kFfn),
        results_(device, zeros(Layer::kDim)),
        experts_(device, routed.experts),
        weights_(device, routed.weights) {}

  ExpertsCall call() const {
    ExpertsCall call = layer_.call(true);
    call.x = call.y = y_.tensor();
    call.routing = {chosen_, experts_.data(), weights_.data()};
    call.inputs = inputs_.tensor(), call.gated = gated_.tensor();
    call.results = f32_tensor(results_.data(), rows_ * chosen_, Layer::kDim);
    return call;
  }
  std::vector<float> run(Activations activations) {
    ExpertsCall call = this->call();
    call.activations = activations;
    device_.experts(call);
    EXPECT_TRUE(y_.gaps_are_untouched());
    return y_.download();
  }
  // By the device's products, one token and expert at a time, and a sum on the host.
  std::vector<float> unfused(Activations activations) {
    std::vector<float> y = x_;
    const RowsOnDevice x(device_, x_, rows_, Layer::kDim);
    ExpertsCall call = this->call();
    call.activations = activations;
    for (int64_t row = 0; row < rows_; ++row) {
      std::vector<float> sum(Layer::kDim);
      for (int64_t slot = row * chosen_; slot < (row + 1) * chosen_; ++slot) {
        const int32_t expert = routed_.experts[static_cast<size_t>(slot)];
        if (expert < 0) continue;
        const ExpertGroups::Group alone{expert, slot, 1};
        LinearCall gated = gated_product(call, alone), down = down_product(call, alone);
        gated.x = rows_of(x.tensor(), row, 1);
        device_.linear({&gated, 1});
        device_.linear({&down, 1});
        const std::vector<float> results = results_.download();
        for (int64_t c = 0; c < Layer::kDim; ++c) {
          float& to = sum[static_cast<size_t>(c)];
          to = std::fma(routed_.weights[static_cast<size_t>(slot)],
                        results[static_cast<size_t>(slot * Layer::kDim + c)], to);
        }
      }
      if (routed_.experts[static_cast<size_t>(row * chosen_)] < 0) continue;
      for (int64_t c = 0; c < Layer::kDim; ++c) {
        float& to = y[static_cast<size_t>(row * Layer::kDim + c)];
        to = to + sum[static_cast<size_t>(c)];
      }
    }
    return as_activations(device_, y);
  }
  std::vector<float> in_reference(Activations activations) const {
    std::vector<float> y = x_, inputs = zeros(Layer::kDim), gated = zeros(Layer::kFfn), results = inputs;
    Routed routed = routed_;
    ExpertsCall call = layer_.call(false);
    call.activations = activations;
    call.x = call.y = f32_tensor(y.data(), rows_, Layer::kDim);
    call.routing = {chosen_, routed.experts.data(), routed.weights.data()};
    call.inputs = f32_tensor(inputs.data(), rows_ * chosen_, Layer::kDim);
    call.gated = f32_tensor(gated.data(), rows_ * chosen_, Layer::kFfn);
    call.results = f32_tensor(results.data(), rows_ * chosen_, Layer::kDim);
    reference::experts(call);
    return y;
  }

 private:
  std::vector<float> zeros(int64_t cols) const {
    return std::vector<float>(static_cast<size_t>(rows_ * chosen_ * cols));
  }

  Device& device_;
  const Layer& layer_;
  int64_t rows_, chosen_;
  std::vector<float> x_;
  Routed routed_;
  RowsOnDevice y_, inputs_, gated_;
  OnDevice<float> results_;
  OnDevice<int32_t> experts_;
  OnDevice<float> weights_;
};

// Few tokens and more than are gathered at once, in every format; and what was read.
TEST_P(ExpertsOperation, AddsUpTheChosenOnes) {
  constexpr int64_t kExperts = 6, kChosen = 3;
  Ledger ledger;
  const std::unique_ptr<Device> cpu = make_cpu_device({.threads = 1, .isa = ""}, ledger);
  for (const WeightFormat* format : all_weight_formats()) {
    for (Activations activations : {Activations::kA16, Activations::kA8}) {
      if (!(*worker)->supports(*format, activations)) continue;
      const Layer layer(**worker, *cpu, *format, kExperts, random_);
      for (int64_t tokens : {1, 5, 30}) {
        SCOPED_TRACE(std::string(format->name) + ", " + std::to_string(tokens) + " tokens");
        const Step step(**worker, tokens, 64);
        const std::vector<float> x =
            as_activations(**worker, normal_floats(random_, step.rows_begun * Layer::kDim, 0.5f));
        const std::vector<float> scores = normal_floats(random_, step.rows_begun * kExperts);
        const Routed routed = route_on(**worker, scores, kExperts, kChosen, true);
        Mixture mixture(**worker, layer, x, routed, kChosen);
        (*worker)->take_experts_read();
        const std::vector<float> got = mixture.run(activations);
        std::set<int32_t> read(routed.experts.begin(), routed.experts.end());
        read.erase(-1);
        EXPECT_EQ((*worker)->take_experts_read(), std::ssize(read));
        EXPECT_EQ((*worker)->take_experts_read(), 0);
        EXPECT_TRUE(same_bits(got, mixture.unfused(activations)));
        if (is_ordered(**worker)) {
          EXPECT_TRUE(same_bits(got, mixture.in_reference(activations)));
        }
      }
    }
  }
}

// A token has the same bits alone.
TEST_P(ExpertsOperation, DoesNotDependOnCompany) {
  constexpr int64_t kExperts = 4, kChosen = 2, kTokens = 9;
  Ledger ledger;
  const std::unique_ptr<Device> cpu = make_cpu_device({.threads = 1, .isa = ""}, ledger);
  const Layer layer(**worker, *cpu, *find_weight_format("bf16"), kExperts, random_);
  const Step step(**worker, kTokens, kTokens);
  const std::vector<float> x = as_activations(**worker, normal_floats(random_, kTokens * Layer::kDim));
  const Routed routed = route_on(**worker, normal_floats(random_, kTokens * kExperts), kExperts, kChosen, false);
  const std::vector<float> all = Mixture(**worker, layer, x, routed, kChosen).run(Activations::kA16);
  for (int64_t t = 0; t < kTokens; ++t) {
    const Step alone(**worker, 1, 1);
    const std::vector<float> own(x.begin() + t * Layer::kDim, x.begin() + (t + 1) * Layer::kDim);
    const Routed choice{{routed.experts.begin() + t * kChosen, routed.experts.begin() + (t + 1) * kChosen},
                        {routed.weights.begin() + t * kChosen, routed.weights.begin() + (t + 1) * kChosen}};
    EXPECT_TRUE(same_bits(Mixture(**worker, layer, own, choice, kChosen).run(Activations::kA16),
                          std::span(all).subspan(static_cast<size_t>(t * Layer::kDim), Layer::kDim)))
        << "token " << t;
  }
}

INSTANTIATE_TEST_SUITE_P(EveryDevice, ExpertsOperation, testing::ValuesIn(every_device()), name_of_device_param);

}  // namespace
}  // namespace halftone::test
