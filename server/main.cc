// Builds every object of the server and joins them; the only file that knows all.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <system_error>

#include "kernels/devices/devices.h"
#include "server/config.h"
#include "server/durations.h"
#include "server/engine/engine.h"
#include "server/executor/local_executor.h"
#include "server/http/http_server.h"
#include "server/last_words.h"
#include "server/line_limit.h"
#include "server/log.h"
#include "server/memory_account.h"
#include "server/metrics/metrics.h"
#include "server/net/descriptors.h"
#include "server/net/socket.h"
#include "server/packing_progress.h"
#include "server/quality_cards.h"
#include "server/rpc/grpc_log.h"
#include "server/rpc/server.h"
#include "server/source/mapped_file.h"
#include "server/source/model_source.h"
#include "server/stop_signals.h"
#include "server/text/chat_template.h"
#include "server/text/tokenizer.h"
#include "server/version.h"
#include "system/system.h"

namespace halftone {
namespace {

Nanoseconds steady_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int fail(const char* what, const absl::Status& status) {
  spdlog::error("{}: {}", what, std::string(status.message()));
  return 1;
}

// What there is to share out before anything is loaded: the GPU's memory, or the host's.
void set_memory(const ServerConfig& config, Device& device, LocalExecutorOptions* options) {
  constexpr uint64_t kMostOfHost = uint64_t{2} << 30;
  constexpr uint64_t kEnoughToMeasure = uint64_t{512} << 20;  // measuring takes a quarter of that for a moment
  const OwnMemory own = device.own_memory();
  const SystemMemory host = System(config.system_root).memory();
  options->kv_bytes = config.kv_bytes;
  options->default_kv_bytes = own.total > 0 ? own.free / 4 : std::min(host.free / 4, kMostOfHost);
  options->free_bytes = own.total > 0 ? own.free : host.free + host.swap;
  if (own.total > 0 || host.free >= kEnoughToMeasure) {
    options->roofline = device.measure_roofline();
  } else {
    spdlog::info("too little memory is free to measure its speed: llm_floor_seconds_total stays 0");
  }
}

Limits make_limits(const ServerConfig& config, const Executor& executor) {
  Limits limits;
  limits.max_context_tokens = static_cast<uint32_t>(executor.context());
  limits.max_new_tokens = limits.max_context_tokens;
  limits.max_queue_requests = config.queue_requests;
  limits.max_queue_tokens = std::max<uint64_t>(config.queue_tokens, limits.max_context_tokens);  // any prompt may wait
  return limits;
}

Defaults make_defaults(const GenerationDefaults& author, const Limits& limits) {
  Defaults defaults;
  defaults.sampling.temperature = author.temperature.value_or(1);
  defaults.sampling.top_p = author.top_p.value_or(1);
  defaults.sampling.top_k = static_cast<uint32_t>(author.top_k.value_or(0));
  defaults.sampling.repetition_penalty = author.repetition_penalty.value_or(1);
  defaults.max_new_tokens = std::min(defaults.max_new_tokens, limits.max_new_tokens);
  return defaults;
}

// What is left of a checkpoint when its weights are packed and its files are closed.
struct LoadedModel {
  ModelSpec spec;
  GenerationDefaults generation;
  std::string format, digest;
  std::unique_ptr<Tokenizer> tokenizer;
  absl::StatusOr<ChatTemplate> chat = absl::FailedPreconditionError("the checkpoint has no chat template");
  std::unique_ptr<LocalExecutor> executor;
};

absl::StatusOr<LoadedModel> load_checkpoint(const ServerConfig& config, const std::vector<Mode>& modes,
                                            Device& device) {
  absl::StatusOr<ModelSource> source = open_model(config.model);
  if (!source.ok()) return source.status();
  for (const std::string& line : source->warnings) spdlog::warn("--model: {}", line);
  LoadedModel checkpoint;
  checkpoint.spec = source->spec;
  checkpoint.generation = source->generation;
  checkpoint.format = source->format;
  checkpoint.digest = source->digest;
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::create(std::move(source->vocabulary));
  if (!tokenizer.ok()) return tokenizer.status();
  checkpoint.tokenizer = *std::move(tokenizer);
  checkpoint.chat =
      ChatTemplate::recognise(source->chat_template, bos_text(*checkpoint.tokenizer), eos_text(*checkpoint.tokenizer));
  LocalExecutorOptions options;
  options.modes = modes;
  options.pack_cache = config.pack_cache;
  options.warn = [](const std::string& line) { spdlog::warn("--pack-cache: {}", line); };
  options.max_context = config.max_context;
  options.threads = config.threads;
  set_memory(config, device, &options);
  options.progress = [progress = PackingProgress(), begin = steady_now()](double fraction) mutable {
    const std::optional<std::string> line = progress.line(fraction, static_cast<double>(steady_now() - begin) / 1e9);
    if (line) spdlog::info(*line);
  };
  absl::StatusOr<std::unique_ptr<LocalExecutor>> executor = LocalExecutor::create(*source, device, options);
  if (!executor.ok()) return executor.status();
  checkpoint.executor = *std::move(executor);
  return checkpoint;
}

std::vector<std::optional<QualityCard>> quality_of_modes(const Executor& executor, const std::string& directory) {
  if (directory.empty()) return {};
  QualityCards cards = read_quality_cards(directory, executor.modes());
  for (const std::string& line : cards.ignored) spdlog::warn("quality card ignored: {}", line);
  return std::move(cards.by_mode);
}

ServerFacts make_facts(const LoadedModel& checkpoint, Device& device, const ServerConfig& config) {
  const OwnMemory own = device.own_memory();
  const uint64_t memory = own.total > 0 ? own.total : System(config.system_root).memory().total;
  DeviceFacts facts{std::string(device.name()), device.description(), std::string(device.kernel_name()),
                    static_cast<uint32_t>(config.threads), memory};
  return {kVersion,
          checkpoint.spec.name,
          checkpoint.spec.family,
          checkpoint.digest,
          checkpoint.format,
          {facts},
          quality_of_modes(*checkpoint.executor, config.quality_cards)};
}

// How long a sequence may be, and why it is not what somebody expects.
void log_context(const LoadedModel& checkpoint, const ServerConfig& config) {
  const int64_t context = checkpoint.executor->context(), own = checkpoint.spec.context;
  if (config.max_context > context) {
    spdlog::warn("--max-context {}: a sequence has at most {} tokens, which is {}", config.max_context, context,
                 context == own ? "the model's context" : "what the KV pages hold (--kv-bytes)");
  } else if (context < own && context != config.max_context) {
    spdlog::info(
        "a sequence has at most {} tokens, which is what the KV pages hold (--kv-bytes); the model's context is {}",
        context, own);
  }
}

void log_ready(const LoadedModel& checkpoint, const RpcServer& rpc, const HttpServer& http,
               const ServerConfig& config) {
  for (const ModeFacts& mode : checkpoint.executor->modes()) {
    spdlog::info("mode {}: {:.2f} bits per weight, {:.1f} MB of weights, {} bytes of KV per token, {} weights", mode.id,
                 mode.bits_per_weight, static_cast<double>(mode.own_bytes + mode.shared_bytes) / 1e6,
                 mode.kv_bytes_per_token, mode.import);
  }
  log_context(checkpoint, config);
  spdlog::info("serving {} on {} (gRPC) and http://{}/metrics", checkpoint.spec.name,
               endpoint_text(config.listen, rpc.port()), endpoint_text(config.listen, http.port()));
}

// Says what the gate does to clients; an attack is not worth more than a few lines a second.
std::function<void(const std::string&)> tell_of_connections() {
  return [limit = std::make_shared<LineLimit>(5)](const std::string& line) {
    const std::optional<uint64_t> left_out = limit->may_write(std::chrono::steady_clock::now());
    if (!left_out) return;
    if (*left_out > 0) spdlog::warn("{} lines about connections left out", *left_out);
    spdlog::warn("gRPC: {}", line);
  };
}

RpcConfig rpc_config(const ServerConfig& config, const ConnectionShares& connections) {
  return {config.listen,     config.port,      config.keepalive_seconds,
          config.reflection, connections.grpc, tell_of_connections()};
}

HttpConfig http_config(const ServerConfig& config, const ConnectionShares& connections) {
  HttpConfig http;
  http.address = config.listen;
  http.port = config.metrics_port;
  http.max_connections = connections.http;
  return http;
}

ConnectionShares share_connections(const ServerConfig& config) {
  const ConnectionShares shares = share_descriptors({config.max_connections, HttpConfig().max_connections});
  if (shares.grpc < config.max_connections) {
    spdlog::warn("--max-connections {}: there are descriptors for {} (ulimit -n); each takes three",
                 config.max_connections, shares.grpc);
  }
  return shares;
}

// `server` is null until it serves.
Health health_of(Health health, const RpcServer* server) {
  const bool silent = health == Health::kServing && server != nullptr && !server->answers();
  return silent ? Health::kSilent : health;
}

// Lets what runs end, for so long. `signal`: 0 where the server stops for a reason of its own.
void drain(int signal, double seconds, Engine& engine, RpcServer& rpc) {
  const EngineLoad load = engine.load();
  spdlog::info("{}: {} requests running and {} waiting may take {} s to end; another signal ends them at once",
               signal == 0 ? "stopping" : strsignal(signal), load.running, load.waiting, seconds);
  rpc.stop_serving();
  engine.drain(saturated_sum(steady_now(), saturated_nanoseconds(seconds)));
  rpc.shutdown(1);
}

int run(const ServerConfig& config, StopSignals& signals) {
  absl::StatusOr<std::vector<Mode>> modes = parse_modes(config.modes);
  if (!modes.ok()) return fail("--modes", modes.status());
  Ledger ledger;
  const MadeDevice made = make_device(config.device, {{config.threads, config.cpu_isa}}, ledger);
  if (made.device == nullptr) return fail("--device", absl::UnavailableError(made.why));
  Device& device = *made.device;
  spdlog::info("halftone {} loads {} on {} ({})", kVersion, config.model, std::string(device.name()),
               std::string(device.kernel_name()));
  spdlog::info("{}", System(config.system_root).description());
  absl::StatusOr<LoadedModel> loaded = load_checkpoint(config, *modes, device);
  if (!loaded.ok()) return fail("--model", loaded.status());
  LoadedModel& checkpoint = *loaded;

  const std::span<const ModeFacts> facts = checkpoint.executor->modes();
  Metrics metrics(checkpoint.spec.name, {facts.begin(), facts.end()});
  auto memory = [&] { return memory_account(device, System(config.system_root)); };
  metrics.on_scrape(memory);
  EngineConfig engine_config;
  engine_config.stall_limit = saturated_nanoseconds(config.stall_seconds);
  engine_config.prefix_cache = config.prefix_cache;
  engine_config.limits = make_limits(config, *checkpoint.executor);
  Engine engine(engine_config, *checkpoint.executor, *checkpoint.tokenizer, metrics, steady_now);
  std::atomic<bool> broken{false};
  engine.on_fatal([&](const absl::Status& status) {
    spdlog::error("the executor failed: {}", std::string(status.message()));
    broken.store(true);
    signals.stop();
  });
  engine.start();

  std::atomic<Health> health{Health::kLoading};
  std::atomic<const RpcServer*> serving{nullptr};
  HttpContent content{[&] { return metrics.render(); }, [&] { return health_of(health, serving.load()); }};
  const ConnectionShares connections = share_connections(config);
  auto http = HttpServer::start(http_config(config, connections), content);
  if (!http.ok()) return fail("--metrics-port", http.status());
  Defaults defaults = make_defaults(checkpoint.generation, engine_config.limits);
  auto facts_of_modes = checkpoint.executor->modes();
  RequestRules rules{*checkpoint.tokenizer,
                     checkpoint.chat,
                     engine_config.limits,
                     defaults,
                     {facts_of_modes.begin(), facts_of_modes.end()},
                     checkpoint.executor->vocabulary()};
  ServiceContext context{rules, make_facts(checkpoint, device, config), engine, metrics, memory, steady_now};
  signals.ready();  // before anybody can know that it serves
  auto rpc = [&] {
    const AbortsSaid said;
    return RpcServer::start(rpc_config(config, connections), context);
  }();
  if (!rpc.ok()) return fail("--port", rpc.status());
  serving.store(rpc->get());
  health.store(Health::kServing);
  log_ready(checkpoint, **rpc, **http, config);

  const int signal = signals.wait();
  signals.on_second([&] { engine.hasten(steady_now()); });
  health.store(Health::kDraining);
  drain(signal, broken ? 0 : config.drain_seconds, engine, **rpc);
  (*http)->stop();
  signals.on_second({});
  metrics.on_scrape({});
  spdlog::info("stopped");
  return broken ? 1 : 0;
}

// Memory or threads may end anywhere before the server serves: one line and a status, like every other mistake.
int run_or_say_why(ServerConfig config) {
  std::signal(SIGXFSZ, SIG_IGN);  // a cache that may not grow is no reason to end
  say_last_words_at_the_end();
  const Log log;
  take_grpc_log([](const std::string& line) { spdlog::warn("{}", line); });
  try {
    StopSignals signals;
    if (config.threads == 0) config.threads = System(config.system_root).processors().usable;
    return run(config, signals);
  } catch (const std::bad_alloc&) {
    spdlog::error(
        "no memory left while starting with --model {}: fewer --modes, a smaller --kv-bytes or --max-context, or "
        "a smaller model would do",
        config.model);
  } catch (const std::system_error& error) {
    spdlog::error("cannot start: {}; fewer --threads or a higher limit of threads would do", error.what());
  } catch (const std::exception& error) {
    spdlog::error("cannot start: {}", error.what());
  }
  return 1;
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  halftone::ServerConfig config;
  if (std::optional<int> status = halftone::parse_command_line(argc, argv, &config)) return *status;
  halftone::explain_shortened_files();
  return halftone::run_or_say_why(config);
}
