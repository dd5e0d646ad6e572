#include "tests/server/scheduler/simulation.h"

#include <gtest/gtest.h>

namespace halftone {
namespace {

struct Case {
  const char* name;
  int64_t pages;
  std::vector<int64_t> page_tokens;
  int64_t max_running;
  bool prefix_cache;
};

constexpr uint64_t kSeeds = HALFTONE_SANITIZED ? 1 : 3;  // a sanitizer makes the checks of every step dear

class Simulations : public testing::TestWithParam<Case> {};

TEST_P(Simulations, TenThousandStepsKeepEveryPromise) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    SimulationConfig config;
    config.scheduler.pages = GetParam().pages;
    config.scheduler.page_tokens = GetParam().page_tokens;
    config.scheduler.max_running = GetParam().max_running;
    config.scheduler.prefix_cache = GetParam().prefix_cache;
    config.scheduler.hash_key = seed;
    Simulation simulation(config, seed);
    for (int step = 0; step < 10000 && !HasFailure(); ++step) simulation.step();
    ASSERT_FALSE(HasFailure());
    simulation.drain();
    ASSERT_FALSE(HasFailure());

    EXPECT_GT(simulation.finished(), 300);
    EXPECT_EQ(simulation.hit_tokens() > 100, GetParam().prefix_cache);
    Scheduler& scheduler = simulation.scheduler();
    EXPECT_EQ(scheduler.page_counts().used, 0);
    EXPECT_EQ(scheduler.page_counts().free + scheduler.page_counts().cached, GetParam().pages);
    scheduler.drop_cache();
    EXPECT_EQ(scheduler.page_counts().free, GetParam().pages);
    scheduler.check_invariants();
    RecordProperty("finished", static_cast<int>(simulation.finished()));
    // In tight memory somebody is preempted all the time; with plenty of it, never.
    EXPECT_EQ(simulation.preemptions() > 200, GetParam().pages < 100) << simulation.preemptions();
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Simulations,
    testing::Values(Case{"one_mode", 12, {4}, 16, true}, Case{"one_token_pages", 44, {1}, 16, true},
                    Case{"three_modes", 24, {4, 2, 8}, 16, true}, Case{"few_places", 22, {4, 2}, 3, true},
                    Case{"no_cache", 24, {4, 2, 8}, 16, false}, Case{"just_one_fits", 20, {4, 2}, 16, true},
                    Case{"plenty", 600, {4, 2, 8}, 16, true}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace halftone
