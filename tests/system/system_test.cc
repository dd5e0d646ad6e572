#include "system/system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "tests/system/made_up_system.h"

namespace halftone {
namespace {

using testing::MatchesRegex;

constexpr uint64_t kGiB = uint64_t{1} << 30;

TEST(System, WithoutGroupsTheMachineIsTheLimit) {
  MadeUpSystem system;
  system.large_machine();
  system.v1("/");
  system.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  const SystemMemory memory = System(system.root()).memory();
  EXPECT_EQ(memory.total, 64 * kGiB);
  EXPECT_EQ(memory.free, 60 * kGiB);
  EXPECT_EQ(memory.swap, uint64_t{1} << 20);
  EXPECT_FALSE(memory.limited);
  const Processors cpus = System(system.root()).processors();
  EXPECT_GE(cpus.usable, 1);
  EXPECT_GE(cpus.machine, cpus.usable);
  EXPECT_STRNE(cpus.limited_by, "cgroup quota");
  EXPECT_THAT(System(system.root()).description(),
              MatchesRegex("[0-9]+ of [0-9]+ processors( by affinity)?; 64.0 GiB of memory, 60.0 free"));
}

TEST(System, AGroupsLimitsAreTheLimitAndTheLineSaysSo) {
  MadeUpSystem system;
  system.large_machine();
  system.v2("/a");
  system.write("/sys/fs/cgroup/a/memory.max", "1073741824\n");
  system.write("/sys/fs/cgroup/a/memory.current", "107374182\n");
  system.write("/sys/fs/cgroup/a/cpu.max", "50000 100000\n");
  const SystemMemory memory = System(system.root()).memory();
  EXPECT_EQ(memory.total, kGiB);
  EXPECT_EQ(memory.free, kGiB - 107374182);
  EXPECT_EQ(memory.swap, 0u);
  EXPECT_TRUE(memory.limited);
  EXPECT_EQ(System(system.root()).processors().usable, 1);
  EXPECT_THAT(System(system.root()).description(),
              MatchesRegex("1 of [0-9]+ processors by (cgroup quota|affinity); 1.0 GiB of memory, 0.9 free"));
}

TEST(System, AMachineWithLessFreeThanTheGroupIsTheLimit) {
  MadeUpSystem system;
  system.v2("/a");
  system.write("/proc/meminfo", "MemTotal: 67108864 kB\nMemAvailable: 1024 kB\n");
  system.write("/sys/fs/cgroup/a/memory.max", "1073741824\n");
  EXPECT_EQ(System(system.root()).memory().free, uint64_t{1} << 20);
}

TEST(System, WithoutMeminfoTheMachineIsAskedOtherwise) {
  MadeUpSystem system;
  EXPECT_GT(System(system.root()).memory().total, 0u);
  system.write("/proc/meminfo", "MemTotal: much\nMemAvailable: 99999999999999999999 kB\n");
  EXPECT_GT(System(system.root()).memory().total, 0u);
  EXPECT_LE(System(system.root()).memory().free, System(system.root()).memory().total);
}

TEST(System, TheRealOneIsUnderstood) {
  const SystemMemory memory = System().memory();
  EXPECT_GT(memory.total, 0u);
  EXPECT_GT(memory.free, 0u);
  EXPECT_LE(memory.free, memory.total);
}

TEST(AllowedProcessors, OfMachinesWithMoreThanAThousand) {
  auto machine = [](size_t least_bytes, size_t set_words) {
    return [=](size_t bytes, unsigned long* mask) {
      errno = EINVAL;
      if (bytes < least_bytes) return false;
      for (size_t i = 0; i < set_words; ++i) mask[i] = ~0UL;
      return true;
    };
  };
  EXPECT_EQ(allowed_processors(machine(128, 1)), 64);
  EXPECT_EQ(allowed_processors(machine(512, 40)), 40 * 64);
  EXPECT_EQ(allowed_processors(machine(size_t{1} << 40, 1)), 1);
  EXPECT_EQ(allowed_processors([](size_t, unsigned long*) { return errno = EPERM, false; }), 1);
}

}  // namespace
}  // namespace halftone
