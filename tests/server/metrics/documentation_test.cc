// docs/METRICS.md and the page say the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/server/metrics/sample_metrics.h"
#include "tests/support/exposition.h"

namespace halftone {
namespace {

struct Row {
  std::string type, unit;
  std::set<std::string> labels;
  bool operator==(const Row& other) const = default;
};

std::string trimmed(std::string text) {
  const auto first = text.find_first_not_of(" `");
  const auto last = text.find_last_not_of(" `");
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

std::vector<std::string> split(const std::string& line, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(line);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(trimmed(part));
  return parts;
}

// The rows "| `llm_x` | type | labels | unit | meaning |".
std::map<std::string, Row> documented() {
  std::ifstream file(std::string(HALFTONE_TEST_DATA) + "/../docs/METRICS.md");
  std::map<std::string, Row> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("| `llm_", 0) != 0) continue;
    const std::vector<std::string> cells = split(line, '|');
    if (cells.size() != 6 || cells[5].empty()) {
      ADD_FAILURE() << "a row needs five cells: " << line;
      continue;
    }
    Row row = {cells[2], cells[4], {}};
    for (const std::string& label : split(cells[3], ',')) row.labels.insert(label);
    EXPECT_TRUE(rows.emplace(cells[1], row).second) << "two rows: " << line;
  }
  return rows;
}

std::string unit_of(const std::string& name) {
  std::string base = name;
  if (base.size() > 6 && base.substr(base.size() - 6) == "_total") base.resize(base.size() - 6);
  for (const char* unit : {"seconds", "bytes", "tokens", "pages"}) {
    const std::string suffix = std::string("_") + unit;
    if (base.size() > suffix.size() && base.substr(base.size() - suffix.size()) == suffix) return unit;
  }
  return "";  // the name does not say
}

std::map<std::string, Row> rendered() {
  std::map<std::string, Row> rows;
  const MetricsPage page = read_metrics_page(sample_metrics().render());
  for (const auto& [name, family] : page.families) {
    Row& row = rows[name];
    row.type = family.type;
    for (const PageSample& sample : family.samples) {
      for (const auto& label : sample.labels) {
        if (label.first != "le") row.labels.insert(label.first);
      }
    }
  }
  return rows;
}

TEST(MetricsDocumentation, HasARowForEveryFamilyAndNoOther) {
  const std::map<std::string, Row> rows = documented();
  const std::map<std::string, Row> families = rendered();
  ASSERT_FALSE(rows.empty()) << "docs/METRICS.md has no table";
  for (const auto& [name, family] : families) EXPECT_EQ(rows.count(name), 1u) << name << " is not in docs/METRICS.md";
  for (const auto& [name, row] : rows) EXPECT_EQ(families.count(name), 1u) << name << " is not on the page";
}

TEST(MetricsDocumentation, NamesTypeLabelsAndUnitOfEveryFamily) {
  const std::map<std::string, Row> families = rendered();
  for (const auto& [name, row] : documented()) {
    const auto family = families.find(name);
    if (family == families.end()) continue;  // the test above says so
    EXPECT_EQ(row.type, family->second.type) << name;
    EXPECT_THAT(row.labels, ::testing::ContainerEq(family->second.labels)) << name;
    EXPECT_FALSE(row.unit.empty()) << name;
    const std::string unit = unit_of(name);
    EXPECT_TRUE(unit.empty() || unit == row.unit) << name;
  }
}

}  // namespace
}  // namespace halftone
