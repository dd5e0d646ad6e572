#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "lab/report.h"

namespace halftone {
namespace {

using Json = nlohmann::ordered_json;

Json quality_json(const ModeQuality& q) {
  return {{"positions", q.positions},
          {"not_finite_positions", q.not_finite},
          {"perplexity", q.perplexity},
          {"perplexity_standard_error", q.perplexity_standard_error},
          {"reference_perplexity", q.reference_perplexity},
          {"perplexity_ratio", q.ratio},
          {"perplexity_ratio_standard_error", q.ratio_standard_error},
          {"nll_per_window", q.nll_per_window},
          {"kl_mean", q.kl_mean},
          {"kl_standard_error", q.kl_standard_error},
          {"kl_median", q.kl_median},
          {"kl_p99", q.kl_p99},
          {"kl_max", q.kl_max},
          {"top1", q.top1},
          {"top1_standard_error", q.top1_standard_error},
          {"clamped_kv_values", q.clamped_values},
          {"seconds", q.seconds}};
}

Json mode_json(const ReportedMode& m) {
  Json object = {{"mode", m.id},
                 {"weights_digest", m.weights_digest},
                 {"import", m.import},
                 {"bits_per_weight", m.bits_per_weight},
                 {"weight_bytes", m.weight_bytes},
                 {"kv_bytes_per_token", m.kv_bytes_per_token},
                 {"verdict", m.verdict},
                 {"label", m.label},
                 {"must_equal_reference", m.must_equal_reference}};
  object.update(quality_json(m.quality));
  return object;
}

std::string csv_text(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

// A value of a JSON object as a cell: lists with spaces between their values.
std::string csv_cell(const Json& value) {
  if (value.is_string()) return csv_text(value.get<std::string>());
  if (value.is_number_float() && !std::isfinite(value.get<double>())) return "";
  if (!value.is_array()) return value.dump();
  std::vector<std::string> parts;
  for (const Json& item : value) parts.push_back(csv_cell(item));
  return absl::StrJoin(parts, " ");
}

}  // namespace

std::string report_json(const Report& r) {
  Json modes = Json::array();
  for (const ReportedMode& m : r.modes) modes.push_back(mode_json(m));
  Json object = {{"model", r.model},
                 {"source_format", r.source_format},
                 {"source_digest", r.source_digest},
                 {"source_bits_per_weight", r.source_bits_per_weight},
                 {"text", {{"name", r.text_name}, {"sha256", r.text_sha256}}},
                 {"protocol", r.protocol},
                 {"bos", r.bos},
                 {"windows", r.windows},
                 {"window_tokens", r.window_tokens},
                 {"scored_positions", r.scored_positions},
                 {"machine", r.machine},
                 {"threads", r.threads},
                 {"commit", r.commit},
                 {"reference", r.reference},
                 {"reference_quality", quality_json(r.reference_quality)},
                 {"noise_floor", quality_json(r.floor)},
                 {"contradictions", contradictions(r)},
                 {"modes", std::move(modes)}};
  return object.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string report_csv(const Report& r) {
  const Json common = {{"model", r.model},
                       {"source_format", r.source_format},
                       {"source_digest", r.source_digest},
                       {"source_bits_per_weight", r.source_bits_per_weight},
                       {"text", r.text_name},
                       {"text_sha256", r.text_sha256},
                       {"protocol", r.protocol},
                       {"bos", r.bos},
                       {"windows", r.windows},
                       {"window_tokens", r.window_tokens},
                       {"reference", r.reference},
                       {"noise_floor_kl_max", r.floor.kl_max},
                       {"machine", r.machine},
                       {"threads", r.threads},
                       {"commit", r.commit}};
  std::string out;
  for (const ReportedMode& m : r.modes) {
    Json row = mode_json(m);
    row.update(common);
    std::vector<std::string> names, cells;
    for (const auto& [key, value] : row.items()) {
      names.push_back(key);
      cells.push_back(csv_cell(value));
    }
    if (out.empty()) absl::StrAppend(&out, absl::StrJoin(names, ","), "\n");
    absl::StrAppend(&out, absl::StrJoin(cells, ","), "\n");
  }
  return out;
}

}  // namespace halftone
