// The logits of the tiny checkpoints of every family, as computed by another implementation.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cpu/cpu_device.h"
#include "tests/server/executor/executor_rig.h"
#include "tests/support/checkpoint_golden.h"

namespace halftone {
namespace {

class GoldenLogits : public testing::TestWithParam<std::string> {};

TEST_P(GoldenLogits, AreReproducedInF32) {
  const Golden golden = read_golden(GetParam());
  ExecutorRig rig(open_source(golden.directory), {});
  ASSERT_EQ(rig.executor().vocabulary(), golden.cols);
  const std::vector<RowResult> rows = rig.run(0, golden.prompt, golden.rows);
  ASSERT_EQ(static_cast<int64_t>(rows.size()), golden.rows);
  double worst = 0;
  for (size_t r = 0; r < rows.size(); ++r) {
    ASSERT_TRUE(rows[r].finite);
    const std::vector<double> logits = logits_of(rows[r]);
    for (size_t id = 0; id < logits.size(); ++id) {
      const double expected = static_cast<double>(golden.logits[r * logits.size() + id]);
      worst = std::max(worst, std::fabs(logits[id] - expected));
    }
  }
  EXPECT_LE(worst, 2e-4 * golden.range);
  RecordProperty("error_over_range", std::to_string(worst / golden.range));
  std::printf("%s: largest error %.3g of the logit range %.3g\n", golden.name.c_str(), worst / golden.range,
              golden.range);
}

INSTANTIATE_TEST_SUITE_P(EveryFamily, GoldenLogits, testing::ValuesIn(all_golden_names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace halftone
