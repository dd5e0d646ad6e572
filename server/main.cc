// Builds every object of the server and joins them; the only file that knows all.
#include <spdlog/spdlog.h>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <thread>

#include "kernels/devices/devices.h"
#include "server/config.h"
#include "server/durations.h"
#include "server/engine/engine.h"
#include "server/executor/local_executor.h"
#include "server/http/http_server.h"
#include "server/memory_account.h"
#include "server/metrics/metrics.h"
#include "server/model/decoder.h"
#include "server/process_memory.h"
#include "server/quality_cards.h"
#include "server/rpc/server.h"
#include "server/source/mapped_file.h"
#include "server/source/model_source.h"
#include "server/text/chat_template.h"
#include "server/text/tokenizer.h"
#include "server/version.h"

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

uint64_t kv_bytes(const ServerConfig& config, Device& device) {
  constexpr uint64_t kMostOfHost = uint64_t{2} << 30;
  if (config.kv_bytes > 0) return config.kv_bytes;
  const OwnMemory own = device.own_memory();
  return own.total > 0 ? own.free / 4 : std::min(memory_available_bytes() / 4, kMostOfHost);
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

std::vector<ModeDescription> describe_modes(const Executor& executor, const std::string& source_format) {
  std::vector<ModeDescription> descriptions;
  for (const ModeFacts& f : executor.modes()) {
    uint64_t capacity = static_cast<uint64_t>(executor.pages() * f.page_tokens);
    descriptions.push_back({f.id, f.weights, f.activations, f.kv, f.import, source_format, f.kernel, f.weights_digest,
                            f.bits_per_weight, f.own_bytes, f.shared_bytes, f.footprint_bytes, f.kv_bytes_per_token,
                            capacity, f.page_padding_bytes});
  }
  return descriptions;
}

// What is left of a checkpoint when its weights are packed and its files are closed.
struct Checkpoint {
  ModelConfig config;
  GenerationDefaults generation;
  std::string format, digest;
  std::unique_ptr<Tokenizer> tokenizer;
  absl::StatusOr<ChatTemplate> chat = absl::FailedPreconditionError("the checkpoint has no chat template");
  std::unique_ptr<LocalExecutor> executor;
};

absl::StatusOr<Checkpoint> load_checkpoint(const ServerConfig& config, const std::vector<Mode>& modes, Device& device) {
  absl::StatusOr<ModelSource> source = open_model(config.model);
  if (!source.ok()) return source.status();
  for (const std::string& line : source->warnings) spdlog::warn("--model: {}", line);
  // First of all whether it is a model that we run: nothing else in it means anything before.
  if (absl::Status status = describe_decoder(*source).status(); !status.ok()) return status;
  Checkpoint checkpoint;
  checkpoint.config = source->config;
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
  options.kv_bytes = kv_bytes(config, device);
  options.threads = config.threads > 0 ? config.threads : cpu_threads();
  options.floor = device.measure_floor();
  options.progress = [last = 0](double fraction) mutable {
    int quarter = static_cast<int>(fraction * 4);
    if (quarter > last) spdlog::info("packing weights: {} %", quarter * 25);
    last = std::max(last, quarter);
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

ServerFacts make_facts(const Checkpoint& checkpoint, Device& device, const ServerConfig& config) {
  const int threads = config.threads > 0 ? config.threads : cpu_threads();
  const OwnMemory own = device.own_memory();
  DeviceFacts facts{std::string(device.name()), device.description(), std::string(device.kernel_name()),
                    static_cast<uint32_t>(threads), own.total > 0 ? own.total : memory_limit_bytes()};
  return {kVersion,
          checkpoint.config.name,
          checkpoint.config.architecture,
          checkpoint.digest,
          checkpoint.format,
          {facts},
          checkpoint.executor->pages(),
          quality_of_modes(*checkpoint.executor, config.quality_cards)};
}

// Returns when a signal asks the process to end. The signals were blocked before any thread began.
int wait_for_signal(const sigset_t& signals) {
  int signal = 0;
  sigwait(&signals, &signal);
  return signal;
}

// While it lives, another signal calls `hurry`.
class SecondSignal {
 public:
  SecondSignal(const sigset_t& signals, std::function<void()> hurry)
      : thread_([this, signals, hurry = std::move(hurry)] {
          const timespec moment{0, 50'000'000};
          while (!done_) {
            if (sigtimedwait(&signals, nullptr, &moment) > 0) hurry();
          }
        }) {}
  ~SecondSignal() {
    done_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> done_{false};
  std::thread thread_;
};

void log_ready(const Checkpoint& checkpoint, const RpcServer& rpc, const HttpServer& http, const ServerConfig& config) {
  for (const ModeFacts& mode : checkpoint.executor->modes()) {
    spdlog::info("mode {}: {:.2f} bits per weight, {:.1f} MB of weights, {} bytes of KV per token, {} weights", mode.id,
                 mode.bits_per_weight, static_cast<double>(mode.own_bytes + mode.shared_bytes) / 1e6,
                 mode.kv_bytes_per_token, mode.import);
  }
  spdlog::info("serving {} on {}:{} (gRPC) and http://{}:{}/metrics", checkpoint.config.name, config.listen, rpc.port(),
               config.listen, http.port());
}

int run(const ServerConfig& config, const sigset_t& signals) {
  absl::StatusOr<std::vector<Mode>> modes = parse_modes(config.modes);
  if (!modes.ok()) return fail("--modes", modes.status());
  Ledger ledger;
  const MadeDevice made = make_device(config.device, {{config.threads, config.cpu_isa}}, ledger);
  if (made.device == nullptr) return fail("--device", absl::UnavailableError(made.why));
  Device& device = *made.device;
  spdlog::info("halftone {} loads {} on {} ({})", kVersion, config.model, std::string(device.name()),
               std::string(device.kernel_name()));
  absl::StatusOr<Checkpoint> loaded = load_checkpoint(config, *modes, device);
  if (!loaded.ok()) return fail("--model", loaded.status());
  Checkpoint& checkpoint = *loaded;

  Metrics metrics(checkpoint.config.name, describe_modes(*checkpoint.executor, checkpoint.format));
  auto memory = [&] { return memory_account(device, nullptr); };
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
    kill(getpid(), SIGTERM);
  });
  engine.start();

  std::atomic<Health> health{Health::kLoading};
  HttpContent content{[&] { return metrics.render(); }, [&] { return health.load(); }};
  HttpConfig http_config;
  http_config.address = config.listen;
  http_config.port = config.metrics_port;
  auto http = HttpServer::start(http_config, content);
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
  auto rpc = RpcServer::start({config.listen, config.port, config.keepalive_seconds, config.reflection}, context);
  if (!rpc.ok()) return fail("--port", rpc.status());
  health.store(Health::kServing);
  log_ready(checkpoint, **rpc, **http, config);

  int signal = wait_for_signal(signals);
  const EngineLoad load = engine.load();
  spdlog::info("{}: {} requests running and {} waiting may take {} s to end; another signal ends them at once",
               broken ? "stopping" : strsignal(signal), load.running, load.waiting, config.drain_seconds);
  health.store(Health::kDraining);
  (*rpc)->stop_serving();
  engine.drain(saturated_sum(steady_now(), saturated_nanoseconds(broken ? 0 : config.drain_seconds)));
  {
    const SecondSignal impatient(signals, [&] { engine.drain(steady_now()); });
    (*rpc)->shutdown(1);
  }
  (*http)->stop();
  metrics.on_scrape({});
  spdlog::info("stopped");
  return broken ? 1 : 0;
}

}  // namespace
}  // namespace halftone

int main(int argc, char** argv) {
  halftone::ServerConfig config;
  if (std::optional<int> status = halftone::parse_command_line(argc, argv, &config)) return *status;
  spdlog::set_pattern("%H:%M:%S %^%l%$ %v");
  halftone::explain_shortened_files();
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return halftone::run(config, signals);
}
