#include "lab/evaluate_command.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/devices/devices.h"
#include "lab/plot.h"
#include "server/source/mapped_file.h"
#include "server/version.h"

namespace halftone {
namespace {

// As the system says it, for whoever reads a measurement.
std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

constexpr const char* kReference = "f32";  // holds the source's own values, whatever they are

absl::StatusOr<std::string> read_text(const std::string& path) {
  absl::StatusOr<std::string> text = read_small_file(path, std::numeric_limits<uint64_t>::max());
  if (text.ok()) return text;
  return absl::NotFoundError(absl::StrCat("--text can't be read: ", text.status().message()));
}

absl::Status write_file(const std::string& path, const std::string& content) {
  if (path.empty()) return absl::OkStatus();
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << content;
  out.close();
  return out ? absl::OkStatus() : absl::UnavailableError(absl::StrCat(path, " can't be written"));
}

// What can't be written is said before minutes of work, as far as the system knows it then.
absl::Status check_outputs(const EvaluateFlags& flags) {
  for (const std::string& path : {flags.json, flags.csv, flags.svg}) {
    if (path.empty()) continue;
    const std::string folder = std::filesystem::path(path).parent_path().string();
    if (access(folder.empty() ? "." : folder.c_str(), W_OK) != 0) {
      return absl::UnavailableError(absl::StrCat(path, " can't be written: ", std::strerror(errno)));
    }
  }
  if (flags.cards.empty()) return absl::OkStatus();
  std::error_code error;
  std::filesystem::create_directories(flags.cards, error);
  if (!error && access(flags.cards.c_str(), W_OK) == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("--cards ", flags.cards, " is no directory that can be written"));
}

// One line on a terminal, nothing in a file.
std::function<void(double)> progress_of(const char* what, bool quiet) {
  if (quiet || isatty(STDERR_FILENO) == 0) return {};
  return [what, last = -1](double fraction) mutable {
    const int percent = static_cast<int>(fraction * 100);
    if (percent == last) return;
    last = percent;
    std::fprintf(stderr, "\r%s: %d %%%s", what, percent, percent == 100 ? "\n" : "");
  };
}

// The reference is the last of the loaded modes; it shares its bytes with a wanted mode of the same weights.
struct LoadedModes {
  std::vector<Mode> modes;
  std::unique_ptr<Weights> weights;
  const ModeWeights& reference() const { return weights->mode(modes.size() - 1); }
};

absl::StatusOr<LoadedModes> load_modes(const ModelSource& source, std::vector<Mode> wanted, Device& device,
                                       const EvaluateFlags& flags) {
  LoadedModes loaded;
  loaded.modes = std::move(wanted);
  loaded.modes.push_back(*parse_mode(kReference));
  const int threads = flags.threads > 0 ? flags.threads : cpu_threads();
  auto weights = Weights::load(source, loaded.modes, device, threads, progress_of("packing", flags.quiet));
  if (!weights.ok()) return weights.status();
  loaded.weights = *std::move(weights);
  return loaded;
}

Report describe(const ModelSource& source, const Device& device, const EvaluateFlags& flags) {
  Report report;
  report.model = source.spec.name;
  report.source_format = source.format;
  report.source_digest = source.digest;
  report.source_bits_per_weight = source.bits_per_weight;
  report.reference = kReference;
  report.machine = absl::StrCat(processor_name(), " (", std::string(device.kernel_name()), ")");
  report.threads = flags.threads > 0 ? flags.threads : cpu_threads();
  report.commit = flags.commit.empty() ? absl::StrCat("halftone ", kVersion) : flags.commit;
  return report;
}

// Text and windows first: what is wrong with them is said before minutes of packing.
absl::StatusOr<TextWindows> windows_of(const ModelSource& source, const EvaluateFlags& flags) {
  absl::StatusOr<std::string> text = read_text(flags.text);
  if (!text.ok()) return text.status();
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::create(source.vocabulary);
  if (!tokenizer.ok()) return tokenizer.status();
  return cut_windows(**tokenizer, *text, flags.windows);
}

}  // namespace

absl::StatusOr<std::vector<Mode>> wanted_modes(const std::string& list) {
  if (list != "all") return parse_modes(list);
  std::vector<std::string> ids = known_modes();
  ids.erase(std::remove(ids.begin(), ids.end(), kReference), ids.end());
  return parse_modes(absl::StrJoin(ids, ","));
}

absl::StatusOr<Report> make_report(const EvaluateFlags& flags) {
  absl::StatusOr<std::vector<Mode>> wanted = wanted_modes(flags.modes);
  if (!wanted.ok()) return wanted.status();
  if (absl::Status status = check_outputs(flags); !status.ok()) return status;
  absl::StatusOr<ModelSource> source = open_model(flags.model);
  if (!source.ok()) return source.status();
  for (const std::string& line : source->warnings) std::fprintf(stderr, "halftone-lab: %s\n", line.c_str());
  absl::StatusOr<TextWindows> text = windows_of(*source, flags);
  if (!text.ok()) return text.status();
  Ledger ledger;
  const MadeDevice made = make_device(flags.device, {{flags.threads, flags.isa}}, ledger);
  if (made.device == nullptr) return absl::InvalidArgumentError(made.why);
  Device& device = *made.device;
  absl::StatusOr<LoadedModes> loaded = load_modes(*source, *std::move(wanted), device, flags);
  if (!loaded.ok()) return loaded.status();

  Report report = describe(*source, device, flags);
  add_text(*text, std::filesystem::path(flags.text).filename().string(), &report);
  EvaluationInput input{*source, device, *text, {kReference, &loaded->reference(), "kv16"}};
  for (size_t m = 0; m + 1 < loaded->modes.size(); ++m) {
    const Mode& mode = loaded->modes[m];
    input.modes.push_back({mode.id, &loaded->weights->mode(m), mode.kv});
    report.modes.push_back(describe_mode(*source, mode, loaded->weights->mode(m)));
  }
  input.progress = progress_of("comparing", flags.quiet);
  absl::StatusOr<Evaluation> evaluation = evaluate(input);
  if (!evaluation.ok()) return evaluation.status();
  add_evaluation(*evaluation, &report);
  return report;
}

absl::Status write_report(const Report& report, const EvaluateFlags& flags) {
  absl::Status status = write_file(flags.json, report_json(report));
  if (status.ok()) status = write_file(flags.csv, report_csv(report));
  if (status.ok()) status = write_file(flags.svg, plot_svg(report));
  if (!status.ok() || flags.cards.empty()) return status;
  for (const ReportedMode& mode : report.modes) {
    status = write_quality_card(report_card(report, mode), flags.cards);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

int run_evaluate(const EvaluateFlags& flags) {
  absl::StatusOr<Report> report = make_report(flags);
  if (!report.ok()) {
    std::fprintf(stderr, "halftone-lab: %s\n", std::string(report.status().message()).c_str());
    return 1;
  }
  std::fputs(report_table(*report).c_str(), stdout);
  const absl::Status status = write_report(*report, flags);
  if (!status.ok()) std::fprintf(stderr, "halftone-lab: %s\n", std::string(status.message()).c_str());
  return status.ok() && contradictions(*report).empty() ? 0 : 1;
}

}  // namespace halftone
