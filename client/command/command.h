// What the subcommands of `halftone` share: where the server is, how errors are told, and Ctrl-C.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "client/client.h"

namespace CLI {
class App;
}

namespace halftone {

inline constexpr int kExitFailed = 1;  // the call failed
inline constexpr int kExitUsage = 2;   // the command line is wrong
inline constexpr int kExitInterrupted = 130;

struct Globals {
  std::string server = "localhost:50051";
  std::optional<double> timeout_seconds;  // of one call

  Client client() const { return Client({.server = server, .attempts = 3}); }
  CallOptions call(Cancellation* cancellation = nullptr) const { return {timeout_seconds, cancellation}; }
};

// Each adds its subcommand; `run` is set to what does the work when the subcommand is chosen.
using Run = std::function<int()>;
void add_generate(CLI::App& app, Globals& globals, Run& run);
void add_chat(CLI::App& app, Globals& globals, Run& run);
void add_info(CLI::App& app, Globals& globals, Run& run);
void add_modes(CLI::App& app, Globals& globals, Run& run);
void add_compare(CLI::App& app, Globals& globals, Run& run);
void add_bench(CLI::App& app, Globals& globals, Run& run);
void add_score(CLI::App& app, Globals& globals, Run& run);
void add_tokenize(CLI::App& app, Globals& globals, Run& run);
void add_detokenize(CLI::App& app, Globals& globals, Run& run);
void add_health(CLI::App& app, Globals& globals, Run& run);

// One line on standard error: the status' name, what was wrong, and what to do where that is known. Gives kExitFailed.
int report(const absl::Status& status, const Globals& globals);
// The same line without "halftone: ".
std::string describe(const absl::Status& status, const Globals& globals);

// The text of an argument: itself, standard input for "-". NOT_FOUND where nothing was given and a person sits there.
absl::StatusOr<std::string> read_text(const std::string& argument);

}  // namespace halftone
