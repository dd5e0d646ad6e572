#include "server/engine/engine.h"

#include <utility>

#include "server/engine/loop.h"

namespace halftone {

Engine::Engine(const EngineConfig& config, Executor& executor, const Tokenizer& tokenizer, Metrics& metrics,
               std::function<Nanoseconds()> clock)
    : loop_(std::make_unique<Loop>(config, executor, tokenizer, metrics, std::move(clock))) {}

Engine::~Engine() = default;

void Engine::start() { loop_->start(); }

std::shared_ptr<OutputStream> Engine::submit(Request request, Refusal* refusal) {
  return loop_->submit(std::move(request), refusal);
}

EngineLoad Engine::load() const { return loop_->admission().load(); }
void Engine::drain(Nanoseconds deadline) { loop_->admission().drain(deadline); }
void Engine::hasten(Nanoseconds deadline) { loop_->admission().hasten(deadline); }
bool Engine::draining() const { return loop_->admission().draining(); }
Nanoseconds Engine::stall_limit() const { return loop_->config().stall_limit; }
bool Engine::shares_prefixes() const { return loop_->config().prefix_cache; }
void Engine::on_fatal(std::function<void(absl::Status)> callback) { loop_->on_fatal(std::move(callback)); }

}  // namespace halftone
