// The directory of the cache of packed weights: whom it is trusted to, what is left in it and what cannot be written.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>

#include "tests/server/model/pack_cache_testing.h"

namespace halftone {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A killed process's lock is gone; a writing one's is not, however old its file looks.
TEST_F(PackCacheTest, WhatAKilledStartLeftIsRemovedAtOnceAndNothingElse) {
  std::filesystem::create_directories(cache);
  const std::string scratch = cache + "/." + kDigits + "-w8.packed.scratch-";
  const auto yesterday = std::filesystem::file_time_type::clock::now() - std::chrono::hours(24);
  for (const char* left : {"abcdef", "ghijkl", "writes"}) write_all(scratch + left, "left");
  const int writing = ::open((scratch + "writes").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(writing, LOCK_EX), 0);
  const std::vector<std::string> others = {
      w8_path() + ".bak",     w8_path() + ".backup", w8_path() + ".abcdef", scratch,
      scratch + "longer-one", scratch + "ABC-12",    cache + "/notes"};
  for (const std::string& other : others) write_all(other, "a user's");
  std::filesystem::create_symlink(cache + "/notes", scratch + "linked");
  for (const auto& entry : std::filesystem::directory_iterator(cache)) {
    std::filesystem::last_write_time(entry.path(), yesterday);
  }
  EXPECT_THAT(Loaded(source(), "w8a16", cache).warnings, IsEmpty());
  for (const std::string& other : others) EXPECT_TRUE(std::filesystem::exists(other)) << other;
  EXPECT_TRUE(std::filesystem::exists(scratch + "writes"));
  EXPECT_TRUE(std::filesystem::is_symlink(scratch + "linked"));
  EXPECT_EQ(files_of(cache).size(), others.size() + 3) << "the file itself, the one being written, the link";
  close(writing);
}

TEST_F(PackCacheTest, ACrashLoopLeavesOneScratchFileAtMost) {
  std::filesystem::create_directories(cache);
  for (int round = 0; round < 4; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      const auto writer = PackFileWriter::create(w8_path());
      _exit(writer.ok() ? 0 : 1);  // without the destructor, as by SIGKILL
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
    EXPECT_EQ(files_of(cache).size(), 1u);
  }
  ASSERT_TRUE(PackFileWriter::create(w8_path()).ok());
  EXPECT_THAT(files_of(cache), IsEmpty());
}

TEST_F(PackCacheTest, FilesHaveTheRightsThatTheUmaskLeaves) {
  for (const mode_t mask : {mode_t{022}, mode_t{077}, mode_t{0}}) {
    std::filesystem::remove_all(cache);
    const mode_t before = umask(mask);
    EXPECT_THAT(Loaded(source(), "w8a16", cache).warnings, IsEmpty());
    umask(before);
    struct stat info;
    ASSERT_EQ(stat(w8_path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, mode_t{0644} & ~mask);
    ASSERT_EQ(stat(cache.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, mode_t{0775} & ~mask);
    EXPECT_THAT(Loaded(source(false), "w8a16", cache).warnings, IsEmpty());
  }
}

TEST_F(PackCacheTest, WhatAnybodyMayWriteToIsNotUsed) {
  fill();
  using std::filesystem::perms;
  std::filesystem::permissions(w8_path(), perms::others_write, std::filesystem::perm_options::add);
  expect_repair("a file of mode 0646");
  std::filesystem::permissions(cache, perms::all);
  const Loaded loaded(source(), kModes, cache);
  ASSERT_TRUE(loaded.status.ok()) << loaded.status;
  EXPECT_THAT(loaded.warnings, ElementsAre(AllOf(HasSubstr(cache), HasSubstr("anybody may write to it"))));
  EXPECT_TRUE(loaded.bytes(3) == expected_bytes());
  EXPECT_FALSE(Loaded(source(false), "w8a16", cache).status.ok()) << "what lies there is not read";
}

TEST_F(PackCacheTest, ADirectoryOfAnotherUserIsUsedAndNamed) {
  if (geteuid() != 0) GTEST_SKIP() << "only root may give a directory away";
  fill();
  ASSERT_EQ(chown(cache.c_str(), 12345, 12345), 0);
  const Loaded loaded(source(false), "w8a16", cache);
  EXPECT_TRUE(loaded.status.ok()) << loaded.status;
  EXPECT_THAT(loaded.warnings, ElementsAre(AllOf(HasSubstr(cache), HasSubstr("belongs to the user 12345"))));
}

TEST_F(PackCacheTest, WhatIsNoFileIsReplaced) {
  fill();
  std::filesystem::remove(w8_path());
  ASSERT_EQ(mkfifo(w8_path().c_str(), 0600), 0);
  expect_repair("a pipe");
  std::filesystem::remove(w8_path());
  std::filesystem::create_symlink("/dev/zero", w8_path());
  expect_repair("a link to a device");
  EXPECT_TRUE(std::filesystem::is_regular_file(std::filesystem::symlink_status(w8_path())));
}

// A limit on the length of files stands for a full disk: both end a write in the middle.
TEST_F(PackCacheTest, AFullDiskIsAWarningAndLeavesNothingBehind) {
  const auto ignored = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{4096, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Loaded loaded(source(), "w8a16", cache);
  EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, ignored);
  ASSERT_TRUE(loaded.status.ok()) << loaded.status;
  EXPECT_THAT(loaded.warnings, ElementsAre(AllOf(HasSubstr(w8_path()), HasSubstr("cannot write"))));
  EXPECT_THAT(files_of(cache), IsEmpty());
}

TEST_F(PackCacheTest, ADirectoryThatCannotBeMadeIsAWarning) {
  write_all(directory.file("file"), "no directory");
  const Loaded loaded(source(), "w8a16", directory.file("file") + "/cache");
  ASSERT_TRUE(loaded.status.ok()) << loaded.status;
  EXPECT_THAT(loaded.warnings, testing::Each(HasSubstr(directory.file("file"))));
  EXPECT_FALSE(loaded.warnings.empty());
}

TEST_F(PackCacheTest, AFileThatCannotBeReplacedIsAWarning) {
  std::filesystem::create_directories(w8_path() + "/occupied");
  const Loaded loaded(source(), "w8a16", cache);
  ASSERT_TRUE(loaded.status.ok()) << loaded.status;
  EXPECT_THAT(loaded.warnings, ElementsAre(HasSubstr("not a regular file"), HasSubstr("cannot replace")));
  EXPECT_EQ(files_of(cache).size(), 1u) << "and what was written for it is gone";
}

TEST_F(PackCacheTest, ADirectoryWithoutTheRightToWriteIsRead) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  fill();
  using std::filesystem::perms;
  std::filesystem::permissions(cache, perms::owner_read | perms::owner_exec);
  EXPECT_THAT(Loaded(source(false), "w8a16", cache).warnings, IsEmpty());
  const Loaded more(source(), "w4g32a16", cache);
  EXPECT_TRUE(more.status.ok());
  EXPECT_THAT(more.warnings, ElementsAre(HasSubstr("Permission denied")));
  std::filesystem::permissions(cache, perms::owner_all);
}

}  // namespace
}  // namespace halftone
