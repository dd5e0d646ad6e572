// A whole engine over a fake executor and a fake clock, and readers for its streams. For the tests of this folder.
#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <semaphore>
#include <string>
#include <vector>

#include "server/engine/engine.h"
#include "tests/support/fake_executor.h"
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

struct RigOptions {
  FakeExecutorConfig executor;
  EngineConfig engine;
  bool start = true;
};

// "test" for the model; modes as the executor has them.
std::unique_ptr<Metrics> metrics_for(const Executor& executor);

class Rig {
 public:
  explicit Rig(RigOptions options = {});

  // A greedy request; its id is made here.
  Request request(std::vector<int32_t> prompt, uint32_t max_new_tokens = 8, ModeIndex mode = 0);
  std::shared_ptr<OutputStream> submit(Request request);                                // must not be refused
  absl::Status refused(Request request, std::optional<double>* retry_after = nullptr);  // must be refused
  Answer run(Request request) { return read_all(submit(std::move(request))); }
  void drain();  // far from any deadline

  double pages(const std::string& state) { return sample("llm_kv_pages{model=\"test\",state=\"" + state + "\"}"); }
  // The value of a line of the rendered metrics that begins with this text; fails where there is none.
  double sample(const std::string& series);

  FakeClock clock;
  FakeExecutor executor;
  std::unique_ptr<Tokenizer> tokenizer = fake_tokenizer();
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<Engine> engine;

 private:
  int next_id_ = 0;
};

}  // namespace halftone
