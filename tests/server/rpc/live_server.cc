#include "tests/server/rpc/live_server.h"

#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"
#include "kernels/contract/check.h"
#include "server/text/utf8_stream.h"

namespace halftone {
namespace {

Nanoseconds steady_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

EngineConfig engine_config(const LiveOptions& options) {
  EngineConfig config = options.engine;
  config.limits = test_limits(options.executor);
  config.limits.max_queue_requests = options.engine.limits.max_queue_requests;
  config.limits.max_queue_tokens = options.engine.limits.max_queue_tokens;
  return config;
}

}  // namespace

MemorySample test_memory() {
  MemorySample sample;
  sample.entries.push_back({"cpu", "w4a16", "weights", 1000, {1000, 1001, 1002}});
  sample.entries.push_back({"cpu", "shared", "kv_cache", 500, {500, 501, 502}});
  sample.devices.push_back({"cpu", 10000, 1600, 1500, 100});
  return sample;
}

LiveServer::LiveServer(LiveOptions options)
    : executor(options.executor),
      tokenizer(fake_tokenizer()),
      metrics("tiny", {executor.modes().begin(), executor.modes().end()}) {
  const EngineConfig config = engine_config(options);
  engine = std::make_unique<Engine>(config, executor, *tokenizer, metrics, steady_now);
  engine->start();
  ServerFacts facts{"0.1.0",        "tiny",      "llama",
                    "sha256:0123",  "gguf/Q4_1", {{"cpu", "a processor", "avx2", 2, 1 << 30}},
                    options.quality};
  ServiceContext context{test_rules(*tokenizer, executor, config.limits, options.chat_template),
                         facts,
                         *engine,
                         metrics,
                         test_memory,
                         steady_now};
  RpcConfig rpc_config;
  rpc_config.port = 0;
  rpc_config.reflection = options.reflection;
  rpc_config.keepalive_seconds = options.keepalive_seconds;
  auto started = RpcServer::start(rpc_config, std::move(context));
  HALFTONE_CHECK(started.ok());
  rpc = *std::move(started);
}

LiveServer::~LiveServer() {
  executor.release();
  engine->drain(steady_now() + 1'000'000'000);
  rpc->shutdown(1);
}

std::string LiveServer::address() const { return absl::StrCat("127.0.0.1:", rpc->port()); }

std::string LiveServer::text_of(const std::vector<int32_t>& tokens) const {
  std::string bytes;
  for (int32_t token : tokens) {
    if (!tokenizer->is_special(token)) bytes += tokenizer->piece(token);
  }
  return utf8_with_replacement(bytes);
}

bool LiveServer::eventually(const std::function<bool()>& condition) const {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (std::chrono::steady_clock::now() < until) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return condition();
}

}  // namespace halftone
