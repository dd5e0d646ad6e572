// Planted faults: each of them has to be seen in the numbers. Where a mode holds the source's own values (codes taken
// over from Q4_1), the clean divergence is 0 and the smallest fault shows; where it was rounded, a fault has to stand
// out from the rounding.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "kernels/contract/numbers.h"
#include "kernels/weights/w4/w4_layout.h"
#include "lab/report.h"
#include "tests/lab/lab_rig.h"
#include "tests/server/model/memory_source.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using BeforeStep = std::function<void(size_t, int64_t, const LanePages&)>;

constexpr int64_t kWindow = 320;  // more than a step

uint16_t* scales_of(const PackedMatrix& matrix) { return reinterpret_cast<uint16_t*>(matrix.scales); }

// One scale of one output's group, four times too large.
void spoil_one_scale(const PackedMatrix& matrix) {
  uint16_t* scale = scales_of(matrix) + 5;  // block 0, group 0, output 5
  *scale = f16_from_f32(4 * f32_from_f16(*scale));
}

// Each group takes its neighbour's scale, as an index that is off by one does.
void shift_scales(const PackedMatrix& matrix) {
  const int64_t blocks = w4::blocks(matrix.shape), groups = w4::groups(matrix.shape);
  ASSERT_GT(groups, 1);
  for (int64_t block = 0; block < blocks; ++block) {
    uint16_t* all = scales_of(matrix) + block * groups * kRowBlock;
    std::vector<uint16_t> old(all, all + groups * kRowBlock);
    std::rotate(old.begin(), old.begin() + kRowBlock, old.end());
    std::copy(old.begin(), old.end(), all);
  }
}

void swap_nibbles(const PackedMatrix& matrix) {
  const PackedBytes bytes = matrix.format->bytes(matrix.shape);
  for (size_t i = 0; i < bytes.codes; ++i) {
    const unsigned byte = static_cast<unsigned>(matrix.codes[i]);
    matrix.codes[i] = static_cast<std::byte>((byte << 4 | byte >> 4) & 255u);
  }
}

void drop_minimums(const PackedMatrix& matrix) {
  ASSERT_EQ(matrix.shape.offset, AffineGrid::Offset::kMinimum);
  const int64_t count = w4::blocks(matrix.shape) * w4::groups(matrix.shape) * kRowBlock;
  std::memset(scales_of(matrix) + count, 0, static_cast<size_t>(count) * sizeof(uint16_t));
}

// The same mode twice under one name is not possible, so a clean rig stands beside a spoiled one.
struct Pair {
  LabRig clean, spoiled;
  TextWindows text;
  Pair(const ModelSource& source, const std::string& mode)
      : clean(source, mode), spoiled(source, mode), text(clean.text(2, kWindow)) {}

  struct Divergence {
    double clean, spoiled;
  };
  Divergence divergence(BeforeStep before_step = {}) const {
    const Evaluation a = clean.run(text), b = spoiled.run(text, std::move(before_step));
    EXPECT_EQ(b.floor.kl_max, 0) << "the reference is not touched";
    EXPECT_EQ(a.reference.perplexity, b.reference.perplexity);
    std::printf("clean %.3g, spoiled %.3g\n", a.modes[0].kl_mean, b.modes[0].kl_mean);
    return {a.modes[0].kl_mean, b.modes[0].kl_mean};
  }
};

ModelSource exact_source(const TestDirectory& directory) {
  return tiny_gguf_source(directory.file("q4_1.gguf"), "Q4_1");
}

Report report_of(const LabRig& rig, const TextWindows& text, BeforeStep before_step = {}) {
  Report out;
  out.modes.push_back(describe_mode(rig.source, rig.modes[0], rig.mode_weights[0]));
  add_evaluation(rig.run(text, std::move(before_step)), &out);
  return out;
}

using Fault = void (*)(const PackedMatrix&);
struct WeightFault {
  const char* name;
  Fault spoil;
};
class WeightFaults : public testing::TestWithParam<WeightFault> {};

TEST_P(WeightFaults, AreSeenWhereTheValuesAreTheSourcesOwn) {
  TestDirectory directory;
  const ModelSource source = exact_source(directory);
  const Pair pair(source, "w4a16");
  GetParam().spoil(*pair.spoiled.mode_weights[0].layers[1].matrix(TensorPart::kDown));
  const Pair::Divergence kl = pair.divergence();
  EXPECT_EQ(kl.clean, 0);
  EXPECT_GT(kl.spoiled, 0.05);
}

TEST_P(WeightFaults, StandOutFromTheRoundingOfActivationsAndPages) {
  TestDirectory directory;
  const ModelSource source = exact_source(directory);
  const Pair pair(source, "w4a8+kv8");
  GetParam().spoil(*pair.spoiled.mode_weights[0].layers[1].matrix(TensorPart::kDown));
  const Pair::Divergence kl = pair.divergence();
  EXPECT_GT(kl.clean, 0);
  EXPECT_GT(kl.spoiled, 10 * kl.clean);
}

TEST_P(WeightFaults, OfOneMatrixStandOutFromTheRoundingOfAllWeights) {
  const ModelSource source = tiny_source();
  const Pair pair(source, "w4g32a16");
  GetParam().spoil(*pair.spoiled.mode_weights[0].layers[1].matrix(TensorPart::kDown));
  const Pair::Divergence kl = pair.divergence();
  EXPECT_GT(kl.clean, 1e-3);
  EXPECT_GT(kl.spoiled, 1.3 * kl.clean);
}

TEST_P(WeightFaults, OfAModeOfTheSourcesOwnValuesAreCalledWrong) {
  TestDirectory directory;
  const ModelSource source = exact_source(directory);
  const Pair pair(source, "w4a16");
  EXPECT_TRUE(contradictions(report_of(pair.clean, pair.text)).empty());
  GetParam().spoil(*pair.spoiled.mode_weights[0].layers[0].matrix(TensorPart::kGate));
  const Report report = report_of(pair.spoiled, pair.text);
  EXPECT_THAT(contradictions(report), ElementsAre(HasSubstr("mode w4a16 holds the reference's own values")));
  EXPECT_THAT(report_table(report), HasSubstr("WRONG: mode w4a16"));
}

INSTANTIATE_TEST_SUITE_P(All, WeightFaults,
                         testing::Values(WeightFault{"OneWrongGroupScale", spoil_one_scale},
                                         WeightFault{"ScalesOffByOneGroup", shift_scales},
                                         WeightFault{"SwappedNibbles", swap_nibbles},
                                         WeightFault{"DroppedMinimums", drop_minimums}),
                         [](const testing::TestParamInfo<WeightFault>& fault) { return fault.param.name; });

TEST(Faults, ALayerLoadedTwiceIsSeen) {
  for (const char* mode : {"f32", "bf16", "w8a16", "w4g32a8+kv8"}) {
    const ModelSource source = tiny_source();
    Pair pair(source, mode);
    ModeWeights& weights = pair.spoiled.mode_weights[0];
    weights.layers[1] = weights.layers[0];
    const Pair::Divergence kl = pair.divergence();
    EXPECT_GT(kl.spoiled, 0.1 + 2 * kl.clean) << mode;
  }
}

// One bit of each byte of what a page holds of the first layer; exponents stay, so every number is finite.
void spoil_page(const LanePages& pages, size_t index) {
  std::byte* page = pages.arena + static_cast<size_t>(pages.pages[index]) * pages.layout.page_bytes;
  for (size_t i = 0; i < pages.layout.layers[0].bytes; ++i) page[i] ^= std::byte{0x02};
}

TEST(Faults, OneCorruptedPageBetweenTwoStepsIsSeen) {
  for (const char* mode : {"f32", "f32+kv8", "bf16+kv8", "w4g32a8"}) {
    const ModelSource source = tiny_source();
    const Pair pair(source, mode);
    int64_t corrupted = 0;
    const Pair::Divergence kl = pair.divergence([&](size_t, int64_t position, const LanePages& pages) {
      if (position == 0 || corrupted > 0) return;
      ++corrupted;
      spoil_page(pages, 1);
    });
    EXPECT_EQ(corrupted, 1) << "one page, once, in the first of two windows";
    EXPECT_GT(kl.spoiled, 0.01 + 1.05 * kl.clean) << mode;
  }
}

TEST(Faults, OfAModeOfTheSourcesOwnValuesAreCalledWrongWhereverTheyLie) {
  TestDirectory directory;
  const ModelSource source = exact_source(directory);
  const Pair pair(source, "w4a16");
  auto corrupt = [](size_t, int64_t position, const LanePages& pages) {
    if (position > 0) spoil_page(pages, 1);
  };
  EXPECT_THAT(contradictions(report_of(pair.clean, pair.text, corrupt)), ElementsAre(HasSubstr("w4a16")));
  Pair twice(source, "w4a16");
  twice.spoiled.mode_weights[0].layers[1] = twice.spoiled.mode_weights[0].layers[0];
  EXPECT_THAT(contradictions(report_of(twice.spoiled, twice.text)), ElementsAre(HasSubstr("w4a16")));
}

TEST(Faults, APageWithAnothersContentIsSeen) {
  const ModelSource source = tiny_source();
  const Pair pair(source, "bf16");
  const Pair::Divergence kl = pair.divergence([](size_t, int64_t position, const LanePages& pages) {
    if (position == 0) return;
    auto page = [&](size_t index) {
      return pages.arena + static_cast<size_t>(pages.pages[index]) * pages.layout.page_bytes;
    };
    std::memcpy(page(0), page(3), pages.layout.page_bytes);
  });
  EXPECT_GT(kl.spoiled, 1.2 * kl.clean);
}

}  // namespace
}  // namespace halftone
