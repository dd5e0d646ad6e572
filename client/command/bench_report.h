// What a benchmark saw, counted on the client's side, and its summary. Plain values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace halftone {

// One request; times in seconds since the benchmark began.
struct BenchSample {
  double begin = 0, first = 0, end = 0;
  std::vector<double> gaps;  // between two tokens; tokens that came in one message share the gap before it
  uint32_t prompt_tokens = 0, generated_tokens = 0;
  std::string error;  // a status' name; "" where the answer is complete

  void add_tokens(uint32_t count, double time);  // that came in one message
};

struct Percentiles {
  double mean = 0, p50 = 0, p90 = 0, p99 = 0, max = 0;
};
Percentiles percentiles(std::vector<double> values);  // linear between neighbours; zeros for no values

struct BenchSetting {
  std::string server, model, mode;
  int concurrency = 0;
  uint32_t prompt_tokens = 0, max_tokens = 0;
  uint64_t seed = 0;
};

struct BenchReport {
  BenchSetting setting;
  double seconds = 0;
  uint64_t completed = 0, prompt_tokens = 0, generated_tokens = 0;
  std::map<std::string, uint64_t> errors;  // by status
  Percentiles ttft, tpot, inter_token, total;

  double generated_per_second() const { return seconds > 0 ? static_cast<double>(generated_tokens) / seconds : 0; }
  double prompt_per_second() const { return seconds > 0 ? static_cast<double>(prompt_tokens) / seconds : 0; }
  std::string page() const;
  std::string json() const;
};
BenchReport summarize(const BenchSetting& setting, absl::Span<const BenchSample> samples, double seconds);

}  // namespace halftone
