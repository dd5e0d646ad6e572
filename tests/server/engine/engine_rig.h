// A whole engine over any executor, and readers for its streams. For the tests of this folder.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "server/engine/engine.h"
#include "tests/support/fake_vocabulary.h"

namespace halftone {

// Everything that a stream gave, until its end.
struct Answer {
  OutputDelta all;
  absl::Status status;
  int deltas = 0;

  std::vector<int32_t> ids() const;
};

// Takes until the end. Any thread.
Answer read_all(const std::shared_ptr<OutputStream>& stream);

// "test" for the model; modes as the executor has them.
std::unique_ptr<Metrics> metrics_for(const Executor& executor);

class EngineRig {
 public:
  // The executor outlives the rig. The engine is not started.
  EngineRig(Executor& executor, const EngineConfig& config, std::function<Nanoseconds()> clock);

  // A greedy request; its id is made here.
  Request request(std::vector<int32_t> prompt, uint32_t max_new_tokens = 8, ModeIndex mode = 0);
  std::shared_ptr<OutputStream> submit(Request request);                                // must not be refused
  absl::Status refused(Request request, std::optional<double>* retry_after = nullptr);  // must be refused
  Answer run(Request request) { return read_all(submit(std::move(request))); }
  void drain();  // far from any deadline

  double pages(const std::string& state) { return sample("llm_kv_pages{model=\"test\",state=\"" + state + "\"}"); }
  // The value of a line of the rendered metrics that begins with this text; fails where there is none.
  double sample(const std::string& series);

  std::unique_ptr<Tokenizer> tokenizer = fake_tokenizer();
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<Engine> engine;

 private:
  int next_id_ = 0;
};

// Starts the engine, whose device fails while these requests live: each ends INTERNAL and says why, and it is reported.
void expect_device_lost(EngineRig& rig, std::span<const std::shared_ptr<OutputStream>> streams, const std::string& why);

}  // namespace halftone
