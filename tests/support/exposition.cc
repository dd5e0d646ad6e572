#include "tests/support/exposition.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <set>
#include <utility>

namespace halftone {
namespace {

bool starts_with(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

bool ends_with(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

// Lower-case words: colons are for recording rules, capitals are against the naming rules.
bool good_name(std::string_view name) {
  const auto good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
  return !name.empty() && name[0] >= 'a' && name[0] <= 'z' && std::all_of(name.begin(), name.end(), good);
}

class Reader {
 public:
  MetricsPage read(std::string_view text) {
    if (!text.empty() && text.back() != '\n') problem("the last line has no end", text.substr(text.rfind('\n') + 1));
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      read_line(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    for (const auto& [name, family] : page_.families) check_family(name, family);
    return std::move(page_);
  }

 private:
  void problem(std::string_view what, std::string_view where) {
    page_.problems.push_back(std::string(what) + ": " + std::string(where));
  }

  void read_line(std::string_view line) {
    if (starts_with(line, "# HELP ")) {
      read_help(line.substr(7));
    } else if (starts_with(line, "# TYPE ")) {
      read_type(line.substr(7));
    } else if (starts_with(line, "#") || line.empty()) {
      problem("neither a sample nor HELP nor TYPE", line);
    } else {
      read_sample(line);
    }
  }

  void read_help(std::string_view rest) {
    const size_t space = std::min(rest.find(' '), rest.size());
    const std::string name(rest.substr(0, space));
    if (!good_name(name)) problem("bad name", name);
    if (page_.families.count(name) != 0) problem("HELP twice", name);
    page_.families[name].help = rest.substr(std::min(space + 1, rest.size()));
    current_ = name;
  }

  void read_type(std::string_view rest) {
    const size_t space = std::min(rest.find(' '), rest.size());
    const std::string name(rest.substr(0, space));
    if (name != current_) problem("TYPE does not follow its HELP", name);
    PageFamily& family = page_.families[name];
    if (!family.type.empty()) problem("TYPE twice", name);
    family.type = rest.substr(std::min(space + 1, rest.size()));
  }

  void read_sample(std::string_view line) {
    PageSample sample;
    const size_t name_end = line.find_first_of("{ ");
    if (name_end == std::string_view::npos) return problem("no value", line);
    sample.name = line.substr(0, name_end);
    std::string_view rest = line.substr(name_end);
    if (rest[0] == '{' && !read_labels(rest, sample.labels)) return problem("bad labels", line);
    if (rest.empty() || rest[0] != ' ') return problem("no value", line);
    const std::string number(rest.substr(1));
    char* end = nullptr;
    sample.value = std::strtod(number.c_str(), &end);
    if (number.empty() || *end != '\0') problem("bad value", line);
    if (!seen_.insert({sample.name, sample.labels}).second) problem("series twice", line);
    const bool mine =
        sample.name == current_ || (page_.families[current_].type == "histogram" &&
                                    (sample.name == current_ + "_bucket" || sample.name == current_ + "_sum" ||
                                     sample.name == current_ + "_count"));
    if (!mine) return problem("sample outside its family", line);
    page_.families[current_].samples.push_back(std::move(sample));
  }

  // Takes `{name="value",...}` off the front of `rest`.
  static bool read_labels(std::string_view& rest, PageLabels& labels) {
    rest.remove_prefix(1);
    while (!rest.empty() && rest[0] != '}') {
      const size_t equals = rest.find('=');
      if (equals == std::string_view::npos) return false;
      const std::string name(rest.substr(0, equals));
      rest.remove_prefix(equals + 1);
      std::optional<std::string> value = read_quoted(rest);
      if (!value || !good_name(name) || !labels.emplace(name, *std::move(value)).second) return false;
      if (!rest.empty() && rest[0] == ',') rest.remove_prefix(1);
    }
    if (rest.empty()) return false;
    rest.remove_prefix(1);
    return true;
  }

  static std::optional<std::string> read_quoted(std::string_view& rest) {
    if (rest.empty() || rest[0] != '"') return std::nullopt;
    std::string value;
    for (size_t i = 1; i < rest.size(); ++i) {
      if (rest[i] == '"') {
        rest.remove_prefix(i + 1);
        return value;
      }
      if (rest[i] != '\\') {
        value += rest[i];
      } else if (++i < rest.size() && (rest[i] == '\\' || rest[i] == '"' || rest[i] == 'n')) {
        value += rest[i] == 'n' ? '\n' : rest[i];
      } else {
        return std::nullopt;
      }
    }
    return std::nullopt;
  }

  void check_family(const std::string& name, const PageFamily& family) {
    static const std::set<std::string> kTypes = {"counter", "gauge", "histogram"};
    if (family.help.empty()) problem("no HELP", name);
    if (kTypes.count(family.type) == 0) problem("no such TYPE", name + " " + family.type);
    if ((family.type == "counter") != ends_with(name, "_total"))
      problem("_total is for counters, and all of them", name);
    for (const char* suffix : {"_bucket", "_sum", "_count"}) {
      if (ends_with(name, suffix)) problem("name ends like a part of a histogram", name);
    }
    if (family.type == "histogram") check_histograms(name, family);
    for (const PageSample& sample : family.samples) {
      if (family.type != "histogram" && sample.labels.count("le") != 0) problem("le outside a histogram", name);
      if (family.type == "counter" && !(sample.value >= 0)) problem("counter below zero", name);
    }
  }

  void check_histograms(const std::string& name, const PageFamily& family) {
    struct Parts {
      double last_bound = -std::numeric_limits<double>::infinity(), last_count = 0, infinity = -1, count = -2;
      bool has_sum = false;
    };
    std::map<PageLabels, Parts> series;
    for (const PageSample& sample : family.samples) {
      PageLabels labels = sample.labels;
      labels.erase("le");
      Parts& parts = series[labels];
      if (sample.name == name + "_sum") parts.has_sum = true;
      if (sample.name == name + "_count") parts.count = sample.value;
      if (sample.name != name + "_bucket") continue;
      const auto bound_text = sample.labels.find("le");
      if (bound_text == sample.labels.end()) {
        problem("bucket without le", name);
        continue;
      }
      const double bound = std::strtod(bound_text->second.c_str(), nullptr);
      if (!(bound > parts.last_bound)) problem("buckets do not ascend", name);
      if (sample.value < parts.last_count) problem("buckets are not cumulative", name);
      parts.last_bound = bound;
      parts.last_count = sample.value;
      if (std::isinf(bound)) parts.infinity = sample.value;
    }
    for (const auto& [labels, parts] : series) {
      if (parts.infinity != parts.count) problem("bucket +Inf is not the count", name);
      if (!parts.has_sum) problem("no sum", name);
    }
  }

  MetricsPage page_;
  std::string current_;
  std::set<std::pair<std::string, PageLabels>> seen_;
};

}  // namespace

const PageSample* MetricsPage::find(const std::string& name, const PageLabels& labels) const {
  const PageSample* found = nullptr;
  for (const auto& [family_name, family] : families) {
    if (!starts_with(name, family_name)) continue;
    for (const PageSample& sample : family.samples) {
      const bool matches = sample.name == name && std::all_of(labels.begin(), labels.end(), [&](const auto& label) {
                             const auto have = sample.labels.find(label.first);
                             return have != sample.labels.end() && have->second == label.second;
                           });
      if (!matches) continue;
      if (found != nullptr) return nullptr;
      found = &sample;
    }
  }
  return found;
}

double MetricsPage::value(const std::string& name, const PageLabels& labels) const {
  const PageSample* sample = find(name, labels);
  return sample == nullptr ? std::nan("") : sample->value;
}

MetricsPage read_metrics_page(std::string_view text) { return Reader().read(text); }

}  // namespace halftone
