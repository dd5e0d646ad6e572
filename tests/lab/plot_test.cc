// The plot: well-formed enough for a strict reader of tags, every mode in it, broken ones too.
#include "lab/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <regex>

namespace halftone {
namespace {

using testing::HasSubstr;

ReportedMode point(const std::string& id, double bits, double kl, const std::string& label = "") {
  ReportedMode mode;
  mode.id = id;
  mode.bits_per_weight = bits;
  mode.label = label;
  mode.quality.kl_mean = kl;
  return mode;
}

Report sample() {
  Report report;
  report.model = "a <b> & \"c\"";
  report.text_name = "text.txt";
  report.protocol = "windows";
  const double infinity = std::numeric_limits<double>::infinity();
  report.modes = {point("bf16", 16, 5e-5, "source"), point("w4a16", 4.5, 0.02), point("w2", 2, infinity),
                  point("f32", 32, 0)};
  return report;
}

// The centre of a mode's circle.
std::pair<double, double> place(const std::string& svg, const std::string& id) {
  const std::regex pattern("<circle cx=\"([0-9.]+)\" cy=\"([0-9.]+)\"[^>]*><title>" + id + ":");
  std::smatch found;
  EXPECT_TRUE(std::regex_search(svg, found, pattern)) << id;
  return found.empty() ? std::pair{0.0, 0.0} : std::pair{std::stod(found[1]), std::stod(found[2])};
}

TEST(Plot, EveryTagIsClosed) {
  std::vector<std::string> open;
  const std::string svg = plot_svg(sample());
  const std::regex tag("<(/?)([a-z]+)([^<>]*)>");
  for (auto it = std::sregex_iterator(svg.begin(), svg.end(), tag); it != std::sregex_iterator(); ++it) {
    const std::smatch& found = *it;
    if (found[1] == "/") {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(open.back(), found[2]);
      open.pop_back();
    } else if (found[3].length() == 0 || *(found[3].second - 1) != '/') {
      open.push_back(found[2]);
    }
  }
  EXPECT_TRUE(open.empty());
  EXPECT_THAT(svg, HasSubstr("a &lt;b&gt; &amp; &quot;c&quot;"));
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(Plot, MoreBitsLieFurtherRightAndMoreDivergenceHigher) {
  const std::string svg = plot_svg(sample());
  EXPECT_LT(place(svg, "w4a16").first, place(svg, "bf16").first);
  EXPECT_LT(place(svg, "bf16").first, place(svg, "f32").first);
  EXPECT_LT(place(svg, "w4a16").second, place(svg, "bf16").second);
  EXPECT_LT(place(svg, "bf16").second, place(svg, "f32").second) << "0 lies on the axis";
  EXPECT_LT(place(svg, "w2").second, place(svg, "w4a16").second) << "infinity at its upper end";
}

TEST(Plot, NamesOfNeighboursDoNotTouch) {
  Report report = sample();
  report.modes = {point("aaa", 4, 0.0035), point("bbb", 4, 0.0027), point("ccc", 4, 0.0028), point("ddd", 16, 0.0028)};
  const std::string svg = plot_svg(report);
  auto name = [&](const std::string& id) {
    const std::regex pattern("y=\"([0-9.]+)\" text-anchor=\"start\">" + id + "<");
    std::smatch found;
    EXPECT_TRUE(std::regex_search(svg, found, pattern)) << id;
    return found.empty() ? 0 : std::stod(found[1]);
  };
  EXPECT_GE(name("bbb") - name("ccc"), 11.9);
  EXPECT_GE(name("ccc") - name("aaa"), 11.9);
  EXPECT_NEAR(name("bbb"), place(svg, "bbb").second + 4, 0.11);
  EXPECT_NEAR(name("ddd"), place(svg, "ddd").second + 4, 0.11) << "elsewhere on the axis of bits";
}

}  // namespace
}  // namespace halftone
