#include "system/cgroups.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/system/made_up_system.h"

namespace halftone {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr const char* kSys = "/sys/fs/cgroup";

std::string mib(uint64_t count) { return std::to_string(count * kMiB) + "\n"; }

// A group of v2 with a limit, what it uses, and how much of that are cached files.
void group_v2(MadeUpSystem& system, const std::string& folder, uint64_t limit, uint64_t used, uint64_t cached) {
  system.write(folder + "/memory.max", mib(limit));
  system.write(folder + "/memory.current", mib(used));
  system.write(folder + "/memory.stat", "anon 1\nfile 99999999999\nactive_file " + std::to_string(cached / 4 * kMiB) +
                                            "\ninactive_file " + std::to_string((cached - cached / 4) * kMiB) + "\n");
}

void group_v1(MadeUpSystem& system, const std::string& folder, uint64_t limit, uint64_t used, uint64_t cached) {
  system.write(folder + "/memory.limit_in_bytes", mib(limit));
  system.write(folder + "/memory.usage_in_bytes", mib(used));
  system.write(folder + "/memory.stat", "active_file 0\ninactive_file 0\ntotal_active_file " +
                                            std::to_string(cached / 4 * kMiB) + "\ntotal_inactive_file " +
                                            std::to_string((cached - cached / 4) * kMiB) + "\n");
}

TEST(GroupMemory, CachedFilesOfAGroupAreFree) {
  MadeUpSystem two, one;
  two.v2("/");
  group_v2(two, kSys, 1024, 1000, 900);
  EXPECT_EQ(group_memory(two.root()).limit, 1024 * kMiB);
  EXPECT_EQ(group_memory(two.root()).free, 924 * kMiB);
  one.v1("/docker/abc", "/docker/abc");
  group_v1(one, std::string(kSys) + "/memory", 1024, 1000, 900);
  EXPECT_EQ(group_memory(one.root()).limit, 1024 * kMiB);
  EXPECT_EQ(group_memory(one.root()).free, 924 * kMiB);
}

TEST(GroupMemory, TheLeastOfAllGroupsAboveIsFree) {
  for (const std::string mount : {"/", "/kubepods"}) {
    MadeUpSystem system;
    system.v2("/kubepods/pod:1/server", mount);
    const std::string top = std::string(kSys) + (mount == "/" ? "/kubepods" : "");
    group_v2(system, top, 8192, 1000, 0);
    group_v2(system, top + "/pod:1", 2048, 1800, 100);
    group_v2(system, top + "/pod:1/server", 4096, 10, 0);
    EXPECT_EQ(group_memory(system.root()).limit, 2048 * kMiB) << mount;
    EXPECT_EQ(group_memory(system.root()).free, 348 * kMiB) << mount;
    group_v2(system, top + "/pod:1/other", 1, 1, 0);  // a neighbour's
    EXPECT_EQ(group_memory(system.root()).free, 348 * kMiB) << mount;
  }
}

TEST(GroupMemory, ASoftLimitIsALimit) {
  MadeUpSystem system;
  system.v2("/a");
  group_v2(system, std::string(kSys) + "/a", 1024, 100, 0);
  system.write(std::string(kSys) + "/a/memory.high", mib(512));
  EXPECT_EQ(group_memory(system.root()).limit, 512 * kMiB);
  EXPECT_EQ(group_memory(system.root()).free, 412 * kMiB);
}

TEST(GroupMemory, AGroupBeyondItsLimitHasNothingFree) {
  MadeUpSystem system;
  system.v2("/a");
  group_v2(system, std::string(kSys) + "/a", 1024, 2000, 10);
  EXPECT_EQ(group_memory(system.root()).free, 0u);
}

TEST(GroupMemory, OldGroupsSayWhatGroupsOutOfSightLimit) {
  MadeUpSystem system;
  system.v1("/docker/abc", "/docker/abc");
  const std::string folder = std::string(kSys) + "/memory";
  system.write(folder + "/memory.limit_in_bytes", "9223372036854771712\n");
  system.write(folder + "/memory.usage_in_bytes", mib(100));
  system.write(folder + "/memory.stat", "hierarchical_memory_limit " + mib(512));
  EXPECT_EQ(group_memory(system.root()).limit, 512 * kMiB);
  EXPECT_EQ(group_memory(system.root()).free, 412 * kMiB);
}

// What a container sees whose mount begins above, or beside, what its namespace calls "/".
TEST(GroupMemory, AMountThatDoesNotShowOurNameIsTakenAsItIs) {
  for (const auto& [path, mount] : std::vector<std::pair<std::string, std::string>>{
           {"/", "/../.."}, {"/docker/abc", "/docker/other"}, {"/../../else", "/"}, {"/ab", "/a"}}) {
    MadeUpSystem system;
    system.v2(path, mount);
    group_v2(system, kSys, 1024, 24, 0);
    EXPECT_EQ(group_memory(system.root()).free, 1000 * kMiB) << path << " in " << mount;
  }
  MadeUpSystem system;  // both know how far outside they are
  system.v2("/../else", "/..");
  group_v2(system, std::string(kSys) + "/else", 1024, 24, 0);
  EXPECT_EQ(group_memory(system.root()).free, 1000 * kMiB);
}

TEST(GroupMemory, PathsWithBlanksAndColons) {
  MadeUpSystem system;
  system.write("/proc/self/cgroup", "0::/a b/c:d\n");
  system.write("/proc/self/mountinfo", "30 22 0:26 /a\\040b /sys/fs/c\\040g rw - cgroup2 cgroup2 rw\n");
  group_v2(system, "/sys/fs/c g/c:d", 1024, 24, 0);
  EXPECT_EQ(group_memory(system.root()).free, 1000 * kMiB);
}

TEST(GroupMemory, HybridSystemsLimitByEither) {
  MadeUpSystem system;
  system.v1("/a");
  group_v1(system, std::string(kSys) + "/memory/a", 1024, 24, 0);
  EXPECT_EQ(group_memory(system.root()).free, 1000 * kMiB);
  group_v2(system, std::string(kSys) + "/unified/else", 512, 12, 0);
  EXPECT_EQ(group_memory(system.root()).free, 500 * kMiB);
}

TEST(GroupMemory, WithoutFilesOfTheKernelTheUsualPlacesAreLookedAt) {
  MadeUpSystem two, one;
  group_v2(two, kSys, 1024, 24, 0);
  EXPECT_EQ(group_memory(two.root()).free, 1000 * kMiB);
  group_v1(one, std::string(kSys) + "/memory", 1024, 24, 0);
  EXPECT_EQ(group_memory(one.root()).free, 1000 * kMiB);
}

TEST(GroupLimits, WhatMakesNoSenseLimitsNothing) {
  const std::string long_line(100'000, '/');
  for (const std::string& text : std::vector<std::string>{
           "", "\n", "max", "max max", "-1", "-1 100000", "1e9", "12 GiB", "99999999999999999999999", "0x10", "nan",
           "5 0", "0 5", "max 100000\nmax", std::string("1\0", 2), std::string(10'000, ' '), "1 2 3", "\xff\xfe"}) {
    MadeUpSystem system;
    system.v2("/a");
    for (const char* file : {"memory.max", "memory.high", "cpu.max"})
      system.write(std::string(kSys) + "/a/" + file, text);
    EXPECT_EQ(group_memory(system.root()).limit, kNoMemoryLimit) << text;
    EXPECT_EQ(group_processors(system.root()), 0) << text;
    MadeUpSystem old;
    old.v1("/a");
    old.write(std::string(kSys) + "/memory/a/memory.limit_in_bytes", text);
    old.write(std::string(kSys) + "/memory/a/memory.stat", text);
    old.write(std::string(kSys) + "/cpu,cpuacct/a/cpu.cfs_quota_us", text);
    old.write(std::string(kSys) + "/cpu,cpuacct/a/cpu.cfs_period_us", text);
    EXPECT_EQ(group_memory(old.root()).limit, kNoMemoryLimit) << text;
    EXPECT_EQ(group_processors(old.root()), 0) << text;
  }
  for (const std::string& text : std::vector<std::string>{
           "", "0", "::", "0::", "0::relative", "x:y:z\n0::/a", long_line, "0::" + long_line, "0::/../../..",
           "30 22 0:26 / /sys - cgroup2", "30 22 0:26 / /sys rw - cgroup2 c", "- - - - - - - - -",
           "1 2 3 / \\ rw - cgroup2 x y", "1 2 3 / /\\999\\04 rw - cgroup x memory,cpu,,"}) {
    for (const char* file : {"/proc/self/cgroup", "/proc/self/mountinfo"}) {
      MadeUpSystem system;
      system.v2("/a");
      system.write(file, text);
      EXPECT_EQ(group_memory(system.root()).limit, kNoMemoryLimit) << text;
      EXPECT_EQ(group_processors(system.root()), 0) << text;
    }
  }
}

TEST(GroupProcessors, QuotasAreRoundedUpToWholeProcessors) {
  for (const auto& [text, expected] :
       std::vector<std::pair<std::string, int64_t>>{{"200000 100000\n", 2},
                                                    {"200001 100000\n", 3},
                                                    {"50000 100000\n", 1},
                                                    {"1000 1000000\n", 1},
                                                    {"150000\n", 2},
                                                    {"max 100000\n", 0},
                                                    {"18446744073709551615 1", INT64_MAX}}) {
    MadeUpSystem system;
    system.v2("/a/b");
    system.write(std::string(kSys) + "/a/b/cpu.max", text);
    EXPECT_EQ(group_processors(system.root()), expected) << text;
  }
}

TEST(GroupProcessors, TheLeastQuotaOfAllGroupsAboveCounts) {
  MadeUpSystem two, one;
  two.v2("/a/b");
  two.write(std::string(kSys) + "/a/cpu.max", "300000 100000");
  two.write(std::string(kSys) + "/a/b/cpu.max", "800000 100000");
  EXPECT_EQ(group_processors(two.root()), 3);
  one.v1("/a/b");
  const std::string folder = std::string(kSys) + "/cpu,cpuacct";
  one.write(folder + "/a/cpu.cfs_quota_us", "250000\n");
  one.write(folder + "/a/cpu.cfs_period_us", "100000\n");
  one.write(folder + "/a/b/cpu.cfs_quota_us", "-1\n");
  one.write(folder + "/a/b/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(group_processors(one.root()), 3);
}

}  // namespace
}  // namespace halftone
