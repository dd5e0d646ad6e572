#include "client/command/command.h"

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/status.h"

namespace halftone {
namespace {

// Statuses without a reason of ours come from gRPC itself.
std::string hint(const absl::Status& status, const Globals& globals) {
  const bool ours = !reason_of(status).empty();
  if (absl::IsUnavailable(status) && !ours) {
    return absl::StrCat("; is a server at ", globals.server,
                        "? Start one with halftone-server (make serve), or name "
                        "another with --server HOST:PORT");
  }
  if (absl::IsUnimplemented(status))
    return absl::StrCat("; what answers at ", globals.server, " is no Halftone server");
  if (absl::IsDeadlineExceeded(status)) return "; --timeout gives more time";
  if (auto seconds = retry_after_seconds(status)) return absl::StrFormat("; try again in %.1f s", *seconds);
  return "";
}

}  // namespace

std::string describe(const absl::Status& status, const Globals& globals) {
  std::string line =
      absl::StrCat(absl::StatusCodeToString(status.code()), ": ", status.message(), hint(status, globals));
  for (char& c : line) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return line;
}

int report(const absl::Status& status, const Globals& globals) {
  std::cerr << "halftone: " << describe(status, globals) << std::endl;
  return kExitFailed;
}

absl::StatusOr<std::string> read_text(const std::string& argument) {
  if (!argument.empty() && argument != "-") return argument;
  if (argument.empty() && isatty(STDIN_FILENO)) {
    return absl::NotFoundError("no text was given: name it, or give - and send it on standard input");
  }
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

}  // namespace halftone
