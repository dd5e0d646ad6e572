// The checker that the other tests trust: it must find what is wrong.
#include "tests/support/exposition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace halftone {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kGood =
    "# HELP llm_x_total Things.\n# TYPE llm_x_total counter\nllm_x_total{mode=\"a\\\"b\\\\c\\nd\"} 3\nllm_x_total 4\n"
    "# HELP llm_h_seconds Times.\n# TYPE llm_h_seconds histogram\n"
    "llm_h_seconds_count 3\nllm_h_seconds_sum 2.5\n"
    "llm_h_seconds_bucket{le=\"0.5\"} 1\nllm_h_seconds_bucket{le=\"1\"} 3\nllm_h_seconds_bucket{le=\"+Inf\"} 3\n";

std::string with(std::string from, std::string to) {
  std::string text = kGood;
  const size_t place = text.find(from);
  EXPECT_NE(place, std::string::npos) << from;
  return text.replace(place, from.size(), to);
}

TEST(Exposition, AGoodPageHasNoProblems) {
  const MetricsPage page = read_metrics_page(kGood);
  EXPECT_THAT(page.problems, IsEmpty());
  EXPECT_EQ(page.value("llm_x_total", {{"mode", "a\"b\\c\nd"}}), 3);
  EXPECT_TRUE(std::isnan(page.value("llm_x_total", {}))) << "two series match";
  EXPECT_TRUE(std::isnan(page.value("llm_y_total", {})));
}

struct Fault {
  const char* from;
  const char* to;
  const char* problem;
};

class ExpositionFault : public ::testing::TestWithParam<Fault> {};

TEST_P(ExpositionFault, IsFound) {
  const Fault fault = GetParam();
  const MetricsPage page = read_metrics_page(with(fault.from, fault.to));
  EXPECT_THAT(page.problems, ::testing::Contains(HasSubstr(fault.problem)));
}

INSTANTIATE_TEST_SUITE_P(
    All, ExpositionFault,
    ::testing::Values(Fault{" Things.", "", "no HELP"}, Fault{"# TYPE llm_x_total counter\n", "", "no such TYPE"},
                      Fault{"# TYPE llm_x_total counter", "# TYPE llm_x_total gauge", "_total"},
                      Fault{"# TYPE llm_h_seconds histogram", "# TYPE llm_h_seconds counter", "_total"},
                      Fault{"# HELP llm_h_seconds Times.\n# TYPE llm_h_seconds",
                            "# HELP llm_x_total Times.\n# TYPE llm_x_total", "HELP twice"},
                      Fault{"llm_x_total 4", "llm_x_total 4 5", "bad value"},
                      Fault{"llm_x_total 4", "llm_x_total", "no value"},
                      Fault{"llm_x_total 4", "llm_x_total{} -4", "below zero"},
                      Fault{"llm_x_total 4", "llm_z_total 4", "outside its family"},
                      Fault{"llm_x_total 4", "llm_x_total{mode=\"a\\\"b\\\\c\\nd\"} 4", "series twice"},
                      Fault{"a\\\"b", "a\\tb", "bad labels"}, Fault{"a\\\"b", "a\"b", "bad labels"},
                      Fault{"mode=", "Mode=", "bad labels"}, Fault{"llm_h_seconds_sum 2.5\n", "", "no sum"},
                      Fault{"llm_h_seconds_count 3", "llm_h_seconds_count 4", "not the count"},
                      Fault{"llm_h_seconds_bucket{le=\"+Inf\"} 3\n", "", "not the count"},
                      Fault{"le=\"0.5\"} 1", "le=\"0.5\"} 4", "not cumulative"},
                      Fault{"le=\"0.5\"", "le=\"5\"", "do not ascend"},
                      Fault{"# HELP llm_h_seconds", "# comment", "neither a sample"},
                      Fault{"{le=\"+Inf\"} 3\n", "{le=\"+Inf\"} 3", "no end"}));

}  // namespace
}  // namespace halftone
