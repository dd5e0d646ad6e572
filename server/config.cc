#include "server/config.h"

#include <CLI/CLI.hpp>

#include "absl/strings/str_join.h"
#include "server/flag_checks.h"
#include "server/model/mode.h"
#include "server/version.h"

namespace halftone {
namespace {

void add_flags(CLI::App& app, ServerConfig& c) {
  app.add_option("--model", c.model, "Checkpoint: FILE.gguf or a Hugging Face directory")->required();
  app.add_option("--modes", c.modes,
                 "Comma-separated compression modes to serve; the first is the default. Known: " +
                     absl::StrJoin(known_modes(), ", ") +
                     ". On the CPU a16 activations are float32; no KV suffix means kv16")
      ->capture_default_str();
  app.add_option("--listen", c.listen, "Address of both ports; anything but loopback is open to the network")
      ->capture_default_str();
  app.add_option("--port", c.port, "gRPC port; 0: any free one")->capture_default_str()->check(CLI::Range(0, 65535));
  app.add_option("--metrics-port", c.metrics_port, "HTTP port of /metrics and /healthz; 0: any free one")
      ->capture_default_str()
      ->check(CLI::Range(0, 65535));
  app.add_option("--max-connections", c.max_connections,
                 "gRPC connections open at once, fewer where there are not enough descriptors; then an idle one makes "
                 "room, or the newcomer is refused")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--device", c.device, "What computes: cpu or cuda:N")->capture_default_str();
  app.add_option("--threads", c.threads, "Compute threads; 0: one for each processor that the process may use")
      ->capture_default_str()
      ->check(CLI::Range(0, 256));
  app.add_option("--max-context", c.max_context,
                 "Longest sequence in tokens, as far as the KV pages hold it; 0: the model's own")
      ->capture_default_str()
      ->check(within({0, ranges::kContextTokens.high}));
  app.add_option("--kv-bytes", c.kv_bytes,
                 "Bytes of KV pages, shared by all modes (suffixes KiB MiB GiB); 0: a quarter of the free memory, at "
                 "most 2 GiB, and no more than half of what the weights leave; of a GPU's, all of that quarter")
      ->transform(CLI::AsSizeValue(false))
      ->check(within(ranges::kKvBytes))
      ->capture_default_str();
  app.add_option("--pack-cache", c.pack_cache,
                 "Directory that keeps quantized weights for the next start; it is made where it is missing, and as "
                 "trusted as the checkpoint: not used where anybody may write to it; empty: none")
      ->capture_default_str();
  app.add_option("--queue-requests", c.queue_requests, "Requests that may wait; beyond that RESOURCE_EXHAUSTED")
      ->capture_default_str()
      ->check(within(ranges::kQueueRequests));
  app.add_option("--queue-tokens", c.queue_tokens, "Prompt tokens that may wait; at least one context")
      ->capture_default_str()
      ->check(within(ranges::kQueueTokens));
  app.add_option("--stall-seconds", c.stall_seconds,
                 "A stream whose reader takes nothing for so long ends RESOURCE_EXHAUSTED")
      ->capture_default_str()
      ->check(within(ranges::kSeconds));
  app.add_option("--drain-seconds", c.drain_seconds,
                 "After SIGTERM or SIGINT, time that living requests get to finish; a second signal ends it")
      ->capture_default_str()
      ->check(within(ranges::kDrainSeconds));
  app.add_option("--keepalive-seconds", c.keepalive_seconds,
                 "A client that does not answer a ping for as long again is gone")
      ->capture_default_str()
      ->check(within(ranges::kKeepaliveSeconds));
  app.add_option("--prefix-cache", c.prefix_cache, "Share the KV pages of equal prompt beginnings")
      ->capture_default_str();
  app.add_option("--reflection", c.reflection, "Answer gRPC server reflection")->capture_default_str();
  app.add_option("--quality-cards", c.quality_cards,
                 "Directory of quality cards, written by halftone-lab evaluate; those of the served modes and weights "
                 "are shown")
      ->check(CLI::ExistingDirectory);
  app.add_option("--system-root", c.system_root,
                 "For tests: limits of processors and memory are read below this directory, not from /proc and /sys "
                 "(environment: HALFTONE_SYSTEM_ROOT)")
      ->envname("HALFTONE_SYSTEM_ROOT");
  app.add_option("--cpu-isa", c.cpu_isa,
                 "Force an instruction set: avx512vnni, avx2, emulated; empty: the best that runs here (environment: "
                 "HALFTONE_CPU_ISA)")
      ->envname("HALFTONE_CPU_ISA");
}

}  // namespace

std::optional<int> parse_command_line(int argc, char** argv, ServerConfig* config) {
  CLI::App app{"halftone-server: serves a language model in several compression modes over gRPC"};
  bool verbose = false;
  app.add_flag("--verbose", verbose, "With --version: what is built in, and which CUDA kernels no GPU has proved");
  app.set_version_flag("--version", [&] { return version_text(verbose); });
  app.get_formatter()->column_width(28);
  add_flags(app, *config);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  return std::nullopt;
}

}  // namespace halftone
