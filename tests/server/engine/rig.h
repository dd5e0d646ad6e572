// A whole engine over a fake executor and a fake clock. For the tests of this folder.
#pragma once

#include "tests/server/engine/engine_rig.h"
#include "tests/support/fake_executor.h"

namespace halftone {

struct RigOptions {
  FakeExecutorConfig executor;
  EngineConfig engine;
  bool start = true;
};

// What a rig's engine works with: there before the engine, and after it.
struct FakeHardware {
  explicit FakeHardware(FakeExecutorConfig config);

  FakeClock clock;
  FakeExecutor executor;
};

class Rig : public FakeHardware, public EngineRig {
 public:
  explicit Rig(RigOptions options = {});
};

}  // namespace halftone
