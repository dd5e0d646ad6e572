// Reads and checks a page in Prometheus' text exposition format 0.0.4, strictly: whatever the format or its naming
// rules forbid becomes a line in `problems`. Any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace halftone {

using PageLabels = std::map<std::string, std::string>;

struct PageSample {
  std::string name;  // "llm_x_bucket" for a bucket of the family "llm_x"
  PageLabels labels;
  double value = 0;
};

struct PageFamily {
  std::string help, type;
  std::vector<PageSample> samples;  // in the page's order
};

struct MetricsPage {
  std::map<std::string, PageFamily> families;
  std::vector<std::string> problems;

  // The one series of this name that has at least these labels; null where there is none or more than one.
  const PageSample* find(const std::string& name, const PageLabels& labels) const;
  // ... its value, or NaN.
  double value(const std::string& name, const PageLabels& labels) const;
};

MetricsPage read_metrics_page(std::string_view text);

}  // namespace halftone
