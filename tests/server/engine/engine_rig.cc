#include "tests/server/engine/engine_rig.h"

#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <semaphore>
#include <utility>

namespace halftone {
namespace {

void merge(OutputDelta& all, OutputDelta delta) {
  all.prompt_tokens.insert(all.prompt_tokens.end(), delta.prompt_tokens.begin(), delta.prompt_tokens.end());
  all.tokens.insert(all.tokens.end(), delta.tokens.begin(), delta.tokens.end());
  all.text += delta.text;
  if (delta.finish) all.finish = delta.finish;
  if (delta.receipt) all.receipt = delta.receipt;
}

}  // namespace

std::vector<int32_t> Answer::ids() const {
  std::vector<int32_t> ids;
  for (const TokenRecord& token : all.tokens) ids.push_back(token.id);
  return ids;
}

Answer read_all(const std::shared_ptr<OutputStream>& stream) {
  Answer answer;
  while (true) {
    const auto ready = std::make_shared<std::binary_semaphore>(0);
    std::optional<OutputStream::Event> event = stream->take([ready] { ready->release(); });
    if (!event) {
      ready->acquire();
      continue;
    }
    if (event->end) {
      answer.status = *event->end;
      return answer;
    }
    ++answer.deltas;
    merge(answer.all, std::move(*event->delta));
  }
}

std::unique_ptr<Metrics> metrics_for(const Executor& executor) {
  const std::span<const ModeFacts> modes = executor.modes();
  return std::make_unique<Metrics>("test", std::vector<ModeFacts>(modes.begin(), modes.end()));
}

EngineRig::EngineRig(Executor& executor, const EngineConfig& config, std::function<Nanoseconds()> clock)
    : metrics(metrics_for(executor)),
      engine(std::make_unique<Engine>(config, executor, *tokenizer, *metrics, std::move(clock))) {}

Request EngineRig::request(std::vector<int32_t> prompt, uint32_t max_new_tokens, ModeIndex mode) {
  Request request;
  request.id = "request " + std::to_string(next_id_++);
  request.mode = mode;
  request.prompt = std::move(prompt);
  request.sampling.temperature = 0;
  request.max_new_tokens = max_new_tokens;
  request.max_new_tokens_given = true;
  request.ignore_eos = true;
  return request;
}

std::shared_ptr<OutputStream> EngineRig::submit(Request request) {
  Refusal refusal;
  std::shared_ptr<OutputStream> stream = engine->submit(std::move(request), &refusal);
  if (stream == nullptr) {
    ADD_FAILURE() << "refused: " << refusal.status;
    std::abort();
  }
  return stream;
}

absl::Status EngineRig::refused(Request request, std::optional<double>* retry_after) {
  Refusal refusal;
  EXPECT_EQ(engine->submit(std::move(request), &refusal), nullptr);
  if (retry_after != nullptr) *retry_after = refusal.retry_after_seconds;
  return refusal.status;
}

void EngineRig::drain() { engine->drain(std::numeric_limits<Nanoseconds>::max()); }

double EngineRig::sample(const std::string& series) {
  const std::string text = "\n" + metrics->render();
  const size_t found = text.find("\n" + series);
  if (found == std::string::npos) {
    ADD_FAILURE() << "no series " << series;
    return std::numeric_limits<double>::quiet_NaN();
  }
  const size_t end = text.find('\n', found + 1);
  const size_t space = text.rfind(' ', end);
  return std::stod(text.substr(space + 1, end - space - 1));
}

void expect_device_lost(EngineRig& rig, std::span<const std::shared_ptr<OutputStream>> streams,
                        const std::string& why) {
  std::atomic<int> reports{0};
  absl::Status reported;
  rig.engine->on_fatal([&](absl::Status status) {
    reported = std::move(status);
    ++reports;
  });
  rig.engine->start();
  for (const std::shared_ptr<OutputStream>& stream : streams) {
    const Answer answer = read_all(stream);
    EXPECT_EQ(answer.status.code(), absl::StatusCode::kInternal);
    EXPECT_NE(answer.status.message().find(why), std::string::npos) << answer.status;
    EXPECT_FALSE(answer.all.finish.has_value());
    EXPECT_TRUE(answer.all.receipt.has_value());
  }
  rig.drain();
  EXPECT_EQ(rig.pages("used"), 0);
  EXPECT_FALSE(rig.refused(rig.request({1}, 1)).ok());
  rig.engine.reset();
  EXPECT_EQ(reports, 1);
  EXPECT_EQ(reported.code(), absl::StatusCode::kInternal);
}

}  // namespace halftone
