#include "client/command/bench_report.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/command/table.h"

namespace halftone {
namespace {

double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - std::floor(at)) * (sorted[high] - sorted[low]);
}

std::vector<std::string> row(const std::string& name, const Percentiles& values) {
  std::vector<std::string> out = {name};
  for (double value : {values.mean, values.p50, values.p90, values.p99, values.max}) {
    out.push_back(absl::StrFormat("%.2f", value * 1e3));
  }
  return out;
}

nlohmann::ordered_json to_json(const Percentiles& values) {
  return {{"mean", values.mean}, {"p50", values.p50}, {"p90", values.p90}, {"p99", values.p99}, {"max", values.max}};
}

}  // namespace

void BenchSample::add_tokens(uint32_t count, double time) {
  if (generated_tokens == 0) first = time;
  const uint32_t gaps_now = generated_tokens == 0 ? count - 1 : count;
  for (uint32_t i = 0; i < gaps_now; ++i) gaps.push_back(generated_tokens == 0 ? 0 : (time - end) / count);
  generated_tokens += count;
  end = time;
}

Percentiles percentiles(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  double sum = 0;
  for (double value : values) sum += value;
  return {sum / static_cast<double>(values.size()), quantile(values, 0.5), quantile(values, 0.9),
          quantile(values, 0.99), values.back()};
}

BenchReport summarize(const BenchSetting& setting, absl::Span<const BenchSample> samples, double seconds) {
  BenchReport out;
  out.setting = setting;
  out.seconds = seconds;
  std::vector<double> ttft, tpot, gaps, total;
  for (const BenchSample& sample : samples) {
    out.prompt_tokens += sample.prompt_tokens;
    out.generated_tokens += sample.generated_tokens;
    if (!sample.error.empty()) {
      ++out.errors[sample.error];
      continue;
    }
    ++out.completed;
    ttft.push_back(sample.first - sample.begin);
    total.push_back(sample.end - sample.begin);
    gaps.insert(gaps.end(), sample.gaps.begin(), sample.gaps.end());
    if (sample.generated_tokens > 1) tpot.push_back((sample.end - sample.first) / (sample.generated_tokens - 1));
  }
  out.ttft = percentiles(std::move(ttft));
  out.tpot = percentiles(std::move(tpot));
  out.inter_token = percentiles(std::move(gaps));
  out.total = percentiles(std::move(total));
  return out;
}

std::string BenchReport::page() const {
  std::string out = absl::StrFormat(
      "%s in %s: %d requests complete in %.2f s, %d at once, %d prompt tokens, %d new ones\n", setting.model,
      setting.mode, completed, seconds, setting.concurrency, setting.prompt_tokens, setting.max_tokens);
  Table table;
  table.add({"milliseconds", "mean", "p50", "p90", "p99", "max"});
  table.add(row("time to first token", ttft));
  table.add(row("time per output token", tpot));
  table.add(row("between tokens", inter_token));
  table.add(row("whole request", total));
  absl::StrAppend(&out, table.text());
  absl::StrAppendFormat(&out, "  %.1f generated tokens/s, %.1f prompt tokens/s, %.2f requests/s\n",
                        generated_per_second(), prompt_per_second(),
                        seconds > 0 ? static_cast<double>(completed) / seconds : 0);
  for (const auto& [status, count] : errors) absl::StrAppend(&out, "  failed with ", status, ": ", count, "\n");
  return out;
}

std::string BenchReport::json() const {
  const nlohmann::ordered_json out = {{"server", setting.server},
                                      {"model", setting.model},
                                      {"mode", setting.mode},
                                      {"concurrency", setting.concurrency},
                                      {"prompt_tokens", setting.prompt_tokens},
                                      {"max_tokens", setting.max_tokens},
                                      {"seed", setting.seed},
                                      {"requests_completed", completed},
                                      {"errors", errors},
                                      {"seconds", seconds},
                                      {"generated_tokens_total", generated_tokens},
                                      {"prompt_tokens_total", prompt_tokens},
                                      {"generated_tokens_per_second", generated_per_second()},
                                      {"prompt_tokens_per_second", prompt_per_second()},
                                      {"ttft_seconds", to_json(ttft)},
                                      {"tpot_seconds", to_json(tpot)},
                                      {"inter_token_seconds", to_json(inter_token)},
                                      {"total_seconds", to_json(total)}};
  return out.dump(2) + "\n";
}

}  // namespace halftone
