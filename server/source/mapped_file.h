// A whole file mapped for reading, filled by the kernel as it is touched. Any thread may read; one owner closes.
// A regular file only. Another process that shortens the file while it is mapped ends ours when we read beyond its new
// end: checkpoints are not edited in place. explain_shortened_files() makes it say so.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace halftone {

class MappedFile {
 public:
  static absl::StatusOr<std::unique_ptr<MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  std::span<const uint8_t> bytes() const { return {data_, size_}; }

 private:
  MappedFile(std::string path, const uint8_t* data, uint64_t size) : path_(std::move(path)), data_(data), size_(size) {}

  std::string path_;
  const uint8_t* data_;
  uint64_t size_;
};

// From now on a read of a mapped file beyond its end, which another process has moved, writes one line to stderr that
// names the file, and ends this process with status 1. Without it SIGBUS ends it without a word. Once, at start; a
// fault anywhere else is handled as before.
void explain_shortened_files();

// A small text file (JSON, a template) read whole. NOT_FOUND if it is missing, INVALID_ARGUMENT beyond the limit.
absl::StatusOr<std::string> read_small_file(const std::string& path, uint64_t limit_bytes);

}  // namespace halftone
