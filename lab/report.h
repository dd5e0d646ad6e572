// What an evaluation is reported as: its facts and numbers in one place, and the texts made of them. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lab/evaluation.h"
#include "server/model/mode.h"
#include "server/model/quality_card.h"

namespace halftone {

struct ReportedMode {
  std::string id;
  std::string weights_digest;
  std::string import;  // "exact": the source's own values; "requantized"
  double bits_per_weight = 0;
  uint64_t weight_bytes = 0;  // own and shared
  uint64_t kv_bytes_per_token = 0;
  std::string label;    // what has to be known to read the numbers; empty: nothing
  std::string verdict;  // evaluation.h
  bool must_equal_reference = false;
  ModeQuality quality;
};

struct Report {
  std::string model;  // its name
  std::string source_format, source_digest;
  double source_bits_per_weight = 0;
  std::string reference = "f32";
  std::string text_name, text_sha256;
  std::string protocol, bos;
  int64_t windows = 0, window_tokens = 0, scored_positions = 0;
  std::string machine, commit;
  int threads = 0;
  ModeQuality reference_quality, floor;
  std::vector<ReportedMode> modes;
};

// The facts of a mode, without its quality.
ReportedMode describe_mode(const ModelSource& source, const Mode& mode, const ModeWeights& weights);
void add_text(const TextWindows& text, const std::string& name, Report* report);
void add_evaluation(const Evaluation& evaluation, Report* report);

// What contradicts itself: a noise floor above 0, a mode of the reference's own values that differs from it, rows that
// are not finite. Empty: nothing.
std::vector<std::string> contradictions(const Report& report);

std::string report_table(const Report& report);  // for people
std::string report_json(const Report& report);   // everything
std::string report_csv(const Report& report);    // a line for each mode
QualityCard report_card(const Report& report, const ReportedMode& mode);

}  // namespace halftone
