// The `halftone` command: talks to a Halftone server.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>

#include "client/command/command.h"
#include "server/flag_checks.h"

namespace {

int run_command(int argc, char** argv) {
  halftone::Globals globals;
  halftone::Run run;
  CLI::App app("halftone talks to a Halftone server");
  app.set_version_flag("--version", HALFTONE_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--server", globals.server, "HOST:PORT of the server")->capture_default_str();
  app.add_option("--timeout", globals.timeout_seconds, "Seconds that a call may take; no limit where not given")
      ->check(halftone::within(halftone::ranges::kSeconds));
  halftone::add_generate(app, globals, run);
  halftone::add_chat(app, globals, run);
  halftone::add_info(app, globals, run);
  halftone::add_modes(app, globals, run);
  halftone::add_compare(app, globals, run);
  halftone::add_bench(app, globals, run);
  halftone::add_score(app, globals, run);
  halftone::add_tokenize(app, globals, run);
  halftone::add_detokenize(app, globals, run);
  halftone::add_health(app, globals, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : halftone::kExitUsage;
  }
  return run();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_command(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "halftone: %s\n", error.what());
    return halftone::kExitFailed;
  }
}
