// Evaluation end to end on tiny models, against the executor's own rows.
#include "lab/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "tests/lab/lab_rig.h"
#include "tests/server/executor/executor_rig.h"
#include "tests/server/model/memory_source.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

using testing::HasSubstr;

// KL and NLL of a window's rows [first, n - 1), from rows that came back whole from the executor.
struct ByHand {
  double kl = 0, nll = 0;
  ByHand(ExecutorRig& rig, const std::string& mode, const std::vector<int32_t>& window, int64_t first) {
    const std::vector<RowResult> p = rig.run(rig.mode("f32"), window, 100), q = rig.run(rig.mode(mode), window, 64);
    const int64_t n = static_cast<int64_t>(window.size()) - 1;
    for (int64_t row = first; row < n; ++row) {
      const size_t at = static_cast<size_t>(row);
      const std::vector<double> other = logits_of(q[at]);
      for (const Candidate& c : p[at].top) {
        const double log_q = other[static_cast<size_t>(c.id)] - static_cast<double>(q[at].logsumexp);
        kl += std::exp(static_cast<double>(c.logprob)) * (static_cast<double>(c.logprob) - log_q);
      }
      nll += static_cast<double>(q[at].logsumexp) - other[static_cast<size_t>(window[at + 1])];
    }
    kl /= static_cast<double>(n - first);
    nll /= static_cast<double>(n - first);
  }
};

TEST(Evaluation, IsWhatTheExecutorsOwnRowsGive) {
  const ModelSource source = tiny_source();
  const LabRig lab(source, "w4a16,w8a8+kv8");
  ExecutorRig executor(source, {.modes = {"f32", "w4a16", "w8a8+kv8"}});
  TextWindows text = lab.text(1, 300);
  for (int64_t first_row : {0, 150}) {
    text.first_row = first_row;
    const Evaluation evaluation = lab.run(text);
    ASSERT_EQ(evaluation.modes.size(), 2u);
    for (size_t m : {0u, 1u}) {
      const ByHand expected(executor, lab.modes[m].id, text.windows[0], first_row);
      const ModeQuality& q = evaluation.modes[m];
      EXPECT_GT(q.kl_mean, 1e-3) << "a mode that loses nothing would test nothing";
      EXPECT_NEAR(q.kl_mean, expected.kl, 1e-5 + 1e-4 * expected.kl) << lab.modes[m].id;
      EXPECT_NEAR(q.nll_per_window[0], expected.nll, 1e-5);
      EXPECT_EQ(q.positions, 299 - first_row);
    }
    const ByHand reference(executor, "f32", text.windows[0], first_row);
    EXPECT_NEAR(std::log(evaluation.reference.perplexity), reference.nll, 1e-5);
  }
}

TEST(Evaluation, DoesNotDependOnWhereTheDevicesMemoryIs) {
  MemoryTensors tensors = memory_tensors({});
  for (float& value : tensors["layers.0.v"].values) value *= 1e6f;  // clamped
  const ModelSource source = memory_source(tiny_config(), std::move(tensors));
  const LabRig here(source, "w4a16,w8a8+kv8"), there(source, "w4a16,w8a8+kv8", 1, true);
  const TextWindows text = here.text(2, 257);  // the last step has one token
  const Evaluation expected = here.run(text), evaluation = there.run(text);
  for (size_t m : {0u, 1u}) {
    EXPECT_EQ(evaluation.modes[m].kl_mean, expected.modes[m].kl_mean);
    EXPECT_EQ(evaluation.modes[m].perplexity, expected.modes[m].perplexity);
    EXPECT_EQ(evaluation.modes[m].nll_per_window, expected.modes[m].nll_per_window);
    EXPECT_EQ(evaluation.modes[m].clamped_values, expected.modes[m].clamped_values);
  }
  EXPECT_GT(expected.modes[0].clamped_values, 0);
}

TEST(Evaluation, TheNoiseFloorIsExactlyZero) {
  for (const char* architecture : {"llama", "qwen2", "qwen3"}) {
    TinyCheckpoint tiny;
    tiny.config = tiny_config(architecture);
    const ModelSource source = tiny_source(tiny);
    const LabRig lab(source, "bf16", 2);
    const Evaluation evaluation = lab.run(lab.text(2, 200));
    EXPECT_EQ(evaluation.floor.kl_max, 0) << architecture;
    EXPECT_EQ(evaluation.floor.top1, 1) << architecture;
    EXPECT_EQ(evaluation.floor.positions, 199) << "of the first window";
    EXPECT_EQ(evaluation.floor.perplexity, std::exp(evaluation.reference.nll_per_window[0]));
    EXPECT_GT(evaluation.modes[0].kl_mean, 0) << architecture;
  }
}

TEST(Evaluation, AModeOfTheSourcesOwnValuesIsTheReference) {
  TestDirectory directory;
  const ModelSource source = tiny_gguf_source(directory.file("q4_1.gguf"), "Q4_1");
  const LabRig lab(source, "f32,w4a16,w4a16+kv8,w4a8");
  const Evaluation evaluation = lab.run(lab.text(2, 128));
  for (size_t m : {0u, 1u}) {
    EXPECT_EQ(evaluation.modes[m].kl_max, 0) << lab.modes[m].id;
    EXPECT_EQ(evaluation.modes[m].perplexity, evaluation.reference.perplexity);
    EXPECT_EQ(evaluation.modes[m].ratio, 1);
    EXPECT_EQ(evaluation.modes[m].top1, 1);
  }
  for (size_t m : {2u, 3u}) EXPECT_GT(evaluation.modes[m].kl_mean, 0) << lab.modes[m].id;
}

TEST(Evaluation, AModesNumbersDoNotDependOnCompanyOrThreads) {
  const ModelSource source = tiny_source();
  const LabRig alone(source, "w8a8+kv8"), together(source, "w4a16,w8a8+kv8,bf16,w4a8", 3);
  const TextWindows text = alone.text(2, 160);
  const ModeQuality a = alone.run(text).modes[0], b = together.run(text).modes[1];
  EXPECT_EQ(a.kl_mean, b.kl_mean);
  EXPECT_EQ(a.kl_p99, b.kl_p99);
  EXPECT_EQ(a.perplexity, b.perplexity);
  EXPECT_EQ(a.top1, b.top1);
}

TEST(Evaluation, EachWindowStandsAlone) {
  const ModelSource source = tiny_source();
  const LabRig lab(source, "w4a16+kv8");
  const TextWindows both = lab.text(2, 96);
  TextWindows second = both;
  second.windows.erase(second.windows.begin());
  EXPECT_EQ(lab.run(both).modes[0].nll_per_window[1], lab.run(second).modes[0].nll_per_window[0]);
}

TEST(Evaluation, ARecipeThatDropsALayerIsAMode) {
  TestDirectory directory;
  std::ofstream(directory.file("short.json")) << R"({"name": "short", "drop_layers": [1], "kv": "kv8", "weights": [
            {"tensors": ["embedding", "head", "attention", "mlp"], "format": "f32"}]})";
  const ModelSource source = tiny_source();
  const LabRig lab(source, "recipe:" + directory.file("short.json") + ",bf16");
  const Evaluation evaluation = lab.run(lab.text(1, 64));
  EXPECT_GT(evaluation.modes[0].kl_mean, 10 * evaluation.modes[1].kl_mean);
}

TEST(Evaluation, ProgressEndsAtOne) {
  const ModelSource source = tiny_source();
  const LabRig lab(source, "bf16");
  const TextWindows text = lab.text(2, 40);
  std::vector<double> heard;
  EvaluationInput input = lab.input(text);
  input.progress = [&](double fraction) { heard.push_back(fraction); };
  ASSERT_TRUE(evaluate(input).ok());
  EXPECT_TRUE(std::is_sorted(heard.begin(), heard.end()));
  EXPECT_EQ(heard.back(), 1);
}

TEST(Evaluation, WindowsBeyondTheContextAndUnknownTokensAreRefused) {
  const ModelSource source = tiny_source();
  const LabRig lab(source, "bf16");
  EXPECT_THAT(std::string(lab.try_run(lab.text(1, 513)).status().message()), HasSubstr("context is 512"));
  TextWindows text = lab.text(1, 32);
  text.windows[0][5] = 320;
  EXPECT_THAT(std::string(lab.try_run(text).status().message()), HasSubstr("token 320"));
}

TEST(Evaluation, AReferenceThatIsNotFiniteIsAnErrorAndAModeThatIsNotIsCounted) {
  MemoryTensors tensors = memory_tensors({});
  const ModelSource whole = memory_source(tiny_config(), tensors);
  for (float& value : tensors["layers.1.v"].values) value = std::numeric_limits<float>::quiet_NaN();
  const ModelSource broken = memory_source(tiny_config(), tensors);
  const LabRig lab(broken, "bf16");
  const absl::Status status = lab.try_run(lab.text(1, 32)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("not finite"));

  LabRig half(whole, "bf16");
  constexpr auto kV = static_cast<size_t>(TensorPart::kV);
  half.mode_weights[0].layers[1].matrices[kV] = lab.mode_weights[0].layers[1].matrices[kV];
  const ModeQuality quality = half.run(half.text(1, 32)).modes[0];
  EXPECT_EQ(quality.not_finite, 31);
  EXPECT_EQ(quality.top1, 0);
  EXPECT_EQ(verdict(quality), "broken");
}

TEST(Evaluation, AVerdictIsByTheMeanDivergence) {
  auto of = [](double kl) {
    ModeQuality quality;
    quality.kl_mean = kl;
    return verdict(quality);
  };
  EXPECT_EQ(of(0), "transparent");
  EXPECT_EQ(of(0.0015), "transparent");
  EXPECT_EQ(of(0.0016), "near-lossless");
  EXPECT_EQ(of(0.011), "near-lossless");
  EXPECT_EQ(of(0.012), "good");
  EXPECT_EQ(of(0.05), "degraded");
  EXPECT_EQ(of(0.2), "risky");
  EXPECT_EQ(of(0.31), "broken");
  EXPECT_EQ(of(std::numeric_limits<double>::quiet_NaN()), "broken");
}

}  // namespace
}  // namespace halftone
