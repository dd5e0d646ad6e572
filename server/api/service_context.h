// What the API is built on; main fills it once. Everything borrowed outlives the server; all of it may be used
// from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/engine/engine.h"
#include "server/engine/request.h"
#include "server/executor/executor.h"
#include "server/metrics/metrics.h"
#include "server/model/quality_card.h"
#include "server/text/chat_template.h"
#include "server/text/tokenizer.h"

namespace halftone {

// What a request is checked against, and how its prompt becomes tokens.
struct RequestRules {
  const Tokenizer& tokenizer;
  absl::StatusOr<ChatTemplate> chat;  // the status that a Chat is refused with, where there is no template
  Limits limits;
  Defaults defaults;
  std::vector<ModeFacts> modes;  // not empty; the first is the default
  int64_t vocabulary = 0;        // the model's: ids are below it
};

struct DeviceFacts {
  std::string name, description, isa;
  uint32_t threads = 0;
  uint64_t total_bytes = 0;
};

// For GetServerInfo only.
struct ServerFacts {
  std::string version, model, architecture, model_digest, source_format;
  std::vector<DeviceFacts> devices;
  std::vector<std::optional<QualityCard>> quality = {};  // by mode; may be shorter than the modes
};

struct ServiceContext {
  RequestRules rules;
  ServerFacts facts;
  Engine& engine;
  Metrics& metrics;
  std::function<MemorySample()> memory;  // the same that /metrics reads
  std::function<Nanoseconds()> clock;    // the engine's
};

}  // namespace halftone
