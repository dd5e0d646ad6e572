#include "lab/report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "kernels/contract/check.h"
#include "server/model/mode_kv_layout.h"

namespace halftone {
namespace {

constexpr const char* kSourceGrid = "grid of the source, not evidence about the method";

std::string reference_line(const Report& r) {
  const ModeQuality& q = r.reference_quality;
  std::string windows;
  for (double nll : q.nll_per_window) absl::StrAppendFormat(&windows, " %.4f", nll);
  return absl::StrFormat("reference  %s (the source's exact values): perplexity %.4f +- %.4f, NLL per window%s\n",
                         r.reference, q.perplexity, q.perplexity_standard_error, windows);
}

std::string floor_line(const Report& r) {
  return absl::StrFormat(
      "floor      the reference against itself in other steps, batches and pages, first window: KL mean %.3g, max "
      "%.3g, "
      "top-1 %.2f %%\n",
      r.floor.kl_mean, r.floor.kl_max, 100 * r.floor.top1);
}

std::string mode_line(const ReportedMode& m, size_t width) {
  const ModeQuality& q = m.quality;
  return absl::StrFormat(
      "%-*s  %-11s  %6.3f  %8.2f  %9.4f  %7.4f  %8.5f  %9.3g  %8.2g  %9.3g  %8.3g  %8.3g  %6.2f  %5.2f  "
      "%7.2f  %s%s\n",
      static_cast<int>(width), m.id, m.import, m.bits_per_weight, static_cast<double>(m.weight_bytes) / 1e6,
      q.perplexity, q.perplexity_standard_error, q.ratio, q.kl_mean, q.kl_standard_error, q.kl_median, q.kl_p99,
      q.kl_max, 100 * q.top1, 100 * q.top1_standard_error, q.seconds, m.verdict, m.label.empty() ? "" : " [s]");
}

}  // namespace

ReportedMode describe_mode(const ModelSource& source, const Mode& mode, const ModeWeights& weights) {
  const KvLayout layout = mode_kv_layout(source.spec, weights, mode.kv);
  ReportedMode out;
  out.id = mode.id;
  out.weights_digest = weights_digest(source.digest, mode.recipe);
  out.import = weights.exact ? "exact" : "requantized";
  out.bits_per_weight = weights.bits_per_weight;
  out.weight_bytes = weights.own_bytes + weights.shared_bytes;
  out.kv_bytes_per_token = layout.used_bytes() / static_cast<uint64_t>(layout.page_tokens);
  if (weights.bits_per_weight >= source.bits_per_weight * (1 - 1e-9)) out.label = kSourceGrid;
  out.must_equal_reference =
      weights.exact && weights.activations == Activations::kA16 && mode.kv == "kv16" && mode.recipe.dropped.empty();
  return out;
}

void add_text(const TextWindows& text, const std::string& name, Report* report) {
  report->text_name = name;
  report->text_sha256 = text.sha256();
  report->protocol = text.protocol;
  report->bos = text.bos;
  report->windows = static_cast<int64_t>(text.windows.size());
  report->window_tokens = text.window_tokens;
  report->scored_positions = text.scored_positions();
}

void add_evaluation(const Evaluation& evaluation, Report* report) {
  HALFTONE_CHECK(evaluation.modes.size() == report->modes.size());
  report->reference_quality = evaluation.reference;
  report->floor = evaluation.floor;
  for (size_t m = 0; m < report->modes.size(); ++m) {
    report->modes[m].quality = evaluation.modes[m];
    report->modes[m].verdict = verdict(evaluation.modes[m]);
  }
}

std::vector<std::string> contradictions(const Report& report) {
  std::vector<std::string> out;
  if (report.floor.kl_max != 0) {
    out.push_back(absl::StrFormat("the noise floor is %.3g (largest KL) and must be 0 on an ordered device",
                                  report.floor.kl_max));
  }
  for (const ReportedMode& m : report.modes) {
    if (m.quality.not_finite > 0) {
      out.push_back(absl::StrFormat("mode %s: the logits of %d positions are not finite", m.id, m.quality.not_finite));
    } else if (m.must_equal_reference && m.quality.kl_max > report.floor.kl_max) {
      out.push_back(absl::StrFormat("mode %s holds the reference's own values and differs from it by a KL of %.3g",
                                    m.id, m.quality.kl_max));
    }
  }
  return out;
}

std::string report_table(const Report& r) {
  size_t width = 4;
  for (const ReportedMode& m : r.modes) width = std::max(width, m.id.size());
  std::string out = absl::StrFormat("model      %s, %s, %.3f bits per weight, %s\n", r.model, r.source_format,
                                    r.source_bits_per_weight, r.source_digest);
  absl::StrAppendFormat(&out, "text       %s, token ids sha256 %s\n", r.text_name, r.text_sha256);
  absl::StrAppendFormat(&out, "protocol   %s: %d windows of %d tokens, %d positions scored; BOS: %s\n", r.protocol,
                        r.windows, r.window_tokens, r.scored_positions, r.bos);
  absl::StrAppendFormat(&out, "machine    %s, %d threads; %s\n", r.machine, r.threads, r.commit);
  out += reference_line(r) + floor_line(r);
  absl::StrAppendFormat(&out, "KL is KL(reference || mode) in nats; +- is a standard error\n\n");
  absl::StrAppendFormat(&out, "%-*s  %-11s  %6s  %8s  %9s  %7s  %8s  %9s  %8s  %9s  %8s  %8s  %6s  %5s  %7s  %s\n",
                        static_cast<int>(width), "mode", "import", "bits/w", "MB", "ppl", "+-", "ratio", "KL mean",
                        "+-", "KL median", "KL p99", "KL max", "top1 %", "+-", "s", "verdict");
  for (const ReportedMode& m : r.modes) out += mode_line(m, width);
  for (const ReportedMode& m : r.modes) {
    if (m.label.empty()) continue;
    absl::StrAppend(&out, "[s] ", kSourceGrid, "\n");
    break;
  }
  for (const std::string& line : contradictions(r)) absl::StrAppend(&out, "WRONG: ", line, "\n");
  return out;
}

QualityCard report_card(const Report& r, const ReportedMode& m) {
  QualityCard card;
  card.mode = m.id;
  card.weights_digest = m.weights_digest;
  card.source_digest = r.source_digest;
  card.source_format = r.source_format;
  card.import = m.import;
  card.reference = r.reference;
  card.text_name = r.text_name;
  card.text_sha256 = r.text_sha256;
  card.protocol = r.protocol;
  card.windows = r.windows;
  card.window_tokens = r.window_tokens;
  card.scored_positions = r.scored_positions;
  card.bos = r.bos;
  card.perplexity = m.quality.perplexity;
  card.perplexity_standard_error = m.quality.perplexity_standard_error;
  card.reference_perplexity = m.quality.reference_perplexity;
  card.kl_mean = m.quality.kl_mean;
  card.kl_standard_error = m.quality.kl_standard_error;
  card.kl_median = m.quality.kl_median;
  card.kl_p99 = m.quality.kl_p99;
  card.kl_max = m.quality.kl_max;
  card.top1 = m.quality.top1;
  card.label = m.label;
  card.machine = r.machine;
  card.commit = r.commit;
  return card;
}

}  // namespace halftone
