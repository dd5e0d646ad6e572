#include "server/model/scratch_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <random>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLetters = 6;
constexpr mode_t kMode = 0644;

std::string prefix_of(const std::string& path) {
  return absl::StrCat(".", fs::path(path).filename().string(), ".scratch-");
}

bool is_scratch(const std::string& name, const std::string& prefix) {
  return name.size() == prefix.size() + kLetters && name.starts_with(prefix) &&
         std::all_of(name.begin() + static_cast<std::ptrdiff_t>(prefix.size()), name.end(),
                     [](unsigned char c) { return std::islower(c) != 0; });
}

std::string random_letters() {
  std::random_device random;
  std::string letters(kLetters, 'a');
  for (char& c : letters) c = static_cast<char>('a' + random() % 26);
  return letters;
}

// Waits for the lock or not; 0, or the reason against it.
int lock(int descriptor, int how) {
  while (::flock(descriptor, how) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

void remove_if_abandoned(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return;
  const int refused = lock(descriptor, LOCK_EX | LOCK_NB);
  bool abandoned = refused == 0;
  if (refused != 0 && refused != EWOULDBLOCK) {  // a file system without locks
    std::error_code error;
    const auto written = fs::last_write_time(path, error);
    abandoned = !error && written < fs::file_time_type::clock::now() - std::chrono::hours(1);
  }
  if (abandoned) ::unlink(path.c_str());
  ::close(descriptor);
}

void remove_abandoned(const fs::path& directory, const std::string& prefix) {
  std::error_code error;
  for (fs::directory_iterator i(directory, error), end; !error && i != end; i.increment(error)) {
    std::error_code ignored;
    const bool regular = i->symlink_status(ignored).type() == fs::file_type::regular;
    if (regular && is_scratch(i->path().filename().string(), prefix)) remove_if_abandoned(i->path());
  }
}

}  // namespace

absl::StatusOr<ScratchFile> create_scratch_file(const std::string& path) {
  const fs::path directory = fs::path(path).parent_path();
  const std::string prefix = prefix_of(path);
  remove_abandoned(directory.empty() ? "." : directory, prefix);
  for (int attempt = 0; attempt < 100; ++attempt) {
    ScratchFile file{(directory / (prefix + random_letters())).string()};
    file.descriptor = ::open(file.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kMode);
    if (file.descriptor < 0 && errno == EEXIST) continue;
    if (file.descriptor < 0) break;
    lock(file.descriptor, LOCK_EX);
    // Another start may have taken it for abandoned before it was locked.
    struct stat info;
    if (::fstat(file.descriptor, &info) == 0 && info.st_nlink > 0) return file;
    ::close(file.descriptor);
    errno = EAGAIN;
  }
  return absl::UnavailableError(absl::StrCat(path, ": cannot write: ", std::strerror(errno)));
}

}  // namespace halftone
