// A whole server in this process, on a free port of the loopback: the real engine and RPC layer over FakeExecutor.
// The parts are made in the order of the members; a test may reach into any of them.
#pragma once

#include <memory>
#include <string>

#include "client/client.h"
#include "server/api/service_context.h"
#include "server/engine/engine.h"
#include "server/rpc/server.h"
#include "tests/server/api/api_testing.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_vocabulary.h"

namespace halftone {

struct LiveOptions {
  FakeExecutorConfig executor = {.modes = {{.id = "w4a16"}, {.id = "w4a16+kv8", .page_tokens = 32}}};
  EngineConfig engine = {};
  bool chat_template = true;
  bool reflection = true;
  double keepalive_seconds = 30;
  std::vector<std::optional<QualityCard>> quality = {};
};

MemorySample test_memory();

class LiveServer {
 public:
  explicit LiveServer(LiveOptions options = {});
  ~LiveServer();

  std::string address() const;
  // Asks once: what a test sees is the server's own answer.
  Client client(int attempts = 1) const { return Client({.server = address(), .attempts = attempts}); }
  // The text that an answer of these tokens has.
  std::string text_of(const std::vector<int32_t>& tokens) const;
  // True within five seconds.
  bool eventually(const std::function<bool()>& condition) const;
  bool idle() const { return engine->load().running == 0 && engine->load().waiting == 0; }

  FakeExecutor executor;
  std::unique_ptr<Tokenizer> tokenizer;
  Metrics metrics;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<RpcServer> rpc;
};

}  // namespace halftone
