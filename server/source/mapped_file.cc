#include "server/source/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "server/source/mapping_faults.h"
#include "server/source/message.h"

namespace halftone {
namespace {

constexpr size_t kShownPath = 1000;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

absl::Status system_error(const std::string& path, const char* action) {
  const int error = errno;
  std::string text = message(clean_text(path, kShownPath), ": cannot ", action, ": ", std::strerror(error));
  if (error == ENOENT) return absl::NotFoundError(text);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(text);
  return absl::UnavailableError(text);
}

// The length of a regular file. O_NONBLOCK at open: a pipe must not hold us up before it is refused here.
absl::StatusOr<uint64_t> regular_file_size(const Descriptor& file, const std::string& path) {
  if (file.number() < 0) return system_error(path, "open");
  struct stat info;
  if (::fstat(file.number(), &info) != 0) return system_error(path, "look at");
  if (!S_ISREG(info.st_mode))
    return absl::InvalidArgumentError(message(clean_text(path, kShownPath), ": not a regular file"));
  return static_cast<uint64_t>(info.st_size);
}

// What Git checks out in place of a large file where git-lfs is not there to fetch it.
absl::Status not_a_pointer(const std::string& path, std::string_view bytes) {
  if (!bytes.starts_with("version https://git-lfs.github.com/spec/")) return absl::OkStatus();
  return absl::InvalidArgumentError(
      message(clean_text(path, kShownPath),
              ": a Git LFS pointer to the file, expected the file itself: fetch it with \"git lfs pull\""));
}

}  // namespace

absl::StatusOr<std::unique_ptr<MappedFile>> MappedFile::open(const std::string& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  absl::StatusOr<uint64_t> size = regular_file_size(file, path);
  if (!size.ok()) return size.status();
  if (*size == 0) return absl::InvalidArgumentError(message(clean_text(path, kShownPath), ": the file is empty"));
  void* data = ::mmap(nullptr, *size, PROT_READ, MAP_PRIVATE, file.number(), 0);
  if (data == MAP_FAILED) return system_error(path, "map");
  std::unique_ptr<MappedFile> mapped(new MappedFile(path, static_cast<const uint8_t*>(data), *size));
  remember_mapping(mapped->data_, mapped->size_, mapped->path_);
  const std::string_view text(static_cast<const char*>(data), std::min<uint64_t>(*size, 64));
  if (absl::Status status = not_a_pointer(path, text); !status.ok()) return status;
  return mapped;
}

MappedFile::~MappedFile() {
  forget_mapping(data_);
  ::munmap(const_cast<uint8_t*>(data_), size_);
}

absl::StatusOr<std::string> read_small_file(const std::string& path, uint64_t limit_bytes) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  absl::StatusOr<uint64_t> size = regular_file_size(file, path);
  if (!size.ok()) return size.status();
  if (*size > limit_bytes) {
    return absl::InvalidArgumentError(
        message(clean_text(path, kShownPath), ": ", *size, " bytes, expected at most ", limit_bytes));
  }
  std::string text(*size, '\0');
  uint64_t done = 0;
  while (done < text.size()) {
    ssize_t got = ::read(file.number(), text.data() + done, text.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(path, "read");
    if (got == 0) break;
    done += static_cast<uint64_t>(got);
  }
  text.resize(done);
  if (absl::Status status = not_a_pointer(path, text); !status.ok()) return status;
  return text;
}

}  // namespace halftone
