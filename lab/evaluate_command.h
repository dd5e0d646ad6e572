// `halftone-lab evaluate`: loads a model in the wanted modes and reports how far each is from the source's values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lab/protocol.h"
#include "lab/report.h"

namespace halftone {

struct EvaluateFlags {
  std::string model;
  std::string modes = "all";
  std::string text;  // a file
  WindowOptions windows;
  std::string device = "cpu";         // or "cuda:N"
  int threads = 0;                    // 0: one for each processor that the process may use
  std::string isa;                    // empty: the best that runs here
  std::string json, csv, svg, cards;  // files and a directory to write; empty: not
  std::string commit;                 // of the code, as whoever built it knows it; empty: the release
  bool quiet = false;                 // no progress
};

// "all" or a list: the modes to compare. With "all", every known one but the reference.
absl::StatusOr<std::vector<Mode>> wanted_modes(const std::string& list);

// Everything up to the report; makes the directory for cards. Errors name the flag or the file.
absl::StatusOr<Report> make_report(const EvaluateFlags& flags);
// The files that the flags ask for.
absl::Status write_report(const Report& report, const EvaluateFlags& flags);

// Runs it and prints the table. The exit status: 0, 1 for an error or numbers that contradict themselves.
int run_evaluate(const EvaluateFlags& flags);

}  // namespace halftone
