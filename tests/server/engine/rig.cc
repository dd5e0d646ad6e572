#include "tests/server/engine/rig.h"

#include <utility>

namespace halftone {
namespace {

FakeExecutorConfig with_clock(FakeExecutorConfig config, FakeClock* clock) {
  config.clock = clock;
  return config;
}

}  // namespace

FakeHardware::FakeHardware(FakeExecutorConfig config) : executor(with_clock(std::move(config), &clock)) {}

Rig::Rig(RigOptions options)
    : FakeHardware(std::move(options.executor)), EngineRig(executor, options.engine, clock.function()) {
  if (options.start) engine->start();
}

}  // namespace halftone
