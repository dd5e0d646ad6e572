// The `halftone-lab` command: measures what a server does not.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <new>

#include "lab/evaluate_command.h"
#include "server/flag_checks.h"
#include "server/source/mapped_file.h"
#include "server/version.h"

namespace halftone {
namespace {

void add_flags(CLI::App& app, EvaluateFlags& f) {
  app.add_option("--model", f.model, "Checkpoint: FILE.gguf or a Hugging Face directory")->required();
  app.add_option("--text", f.text, "Text to evaluate on; none that the model was made or calibrated with")->required();
  app.add_option("--modes", f.modes, "Comma-separated modes, recipe:FILE among them, or all")->capture_default_str();
  app.add_option("--protocol", f.windows.protocol, "windows, llamacpp512 or gptq2048 (docs/EVALUATE.md)")
      ->capture_default_str();
  app.add_option("--windows", f.windows.windows, "How many, from the text's beginning; 0: all")
      ->capture_default_str()
      ->check(within({0, 1e9}));
  app.add_option("--window-tokens", f.windows.window_tokens, "Tokens of a window; 0: the protocol's own (1024)")
      ->capture_default_str()
      ->check(within({0, ranges::kContextTokens.high}));
  app.add_option("--device", f.device, "What computes: cpu or cuda:N")->capture_default_str();
  app.add_option("--threads", f.threads, "Compute threads; 0: one for each processor that the process may use")
      ->capture_default_str()
      ->check(CLI::Range(0, 256));
  app.add_option("--json", f.json, "File for everything as JSON");
  app.add_option("--csv", f.csv, "File for everything as CSV, a line for each mode");
  app.add_option("--svg", f.svg, "File for a plot: KL against bits per weight");
  app.add_option("--cards", f.cards, "Directory for quality cards, one for each mode, that a server shows");
  app.add_option("--commit", f.commit, "What the report calls the code; empty: its release");
  app.add_option("--cpu-isa", f.isa, "Force an instruction set; empty: the best that runs here")
      ->envname("HALFTONE_CPU_ISA");
  app.add_flag("--quiet", f.quiet, "No progress");
}

int run_command(int argc, char** argv) {
  CLI::App app("halftone-lab measures compression modes");
  app.set_version_flag("--version", std::string("halftone ") + kVersion);
  app.require_subcommand(1);
  EvaluateFlags flags;
  CLI::App* evaluate =
      app.add_subcommand("evaluate", "Perplexity, KL divergence and top-1 agreement of modes with the source's values");
  evaluate->get_formatter()->column_width(28);
  add_flags(*evaluate, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return run_evaluate(flags);
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  halftone::explain_shortened_files();
  try {
    return halftone::run_command(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fputs(
        "halftone-lab: no memory left; fewer --modes, --windows or --window-tokens, or a smaller --model would do\n",
        stderr);
    return 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "halftone-lab: %s\n", error.what());
    return 1;
  }
}
