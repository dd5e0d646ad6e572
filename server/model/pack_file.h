// A file of packed matrices of one source in one WeightChoice, as PackCache keeps them.
//
//   header   64 bytes: what it is, the layout's version, the file's length, where the index is and its checksum
//   data     each matrix: codes, then scales, as they lie in memory
//   index    JSON: source, choice; by tensor: format, version of its packing, shape, place, checksum
//
// Written beside its name and renamed when it is complete: whoever opens the name finds an old file or a new one.
// Read with pread, so a file that shrinks meanwhile is an error and no signal. Errors name the file and the reason.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/contract/weight_format.h"

namespace halftone {

// What identifies the packing of a matrix, and where it lies.
struct PackEntry {
  std::string format;
  int packing = 0;  // WeightFormat::packing
  PackedShape shape;
  PackedBytes bytes;
  uint64_t at = 0;
  uint64_t checksum = 0;

  // What a matrix would have; place and checksum are left out.
  static PackEntry of(const PackedMatrix& matrix);
  bool same_packing(const PackEntry& other) const;
};

class PackFile {
 public:
  using Entries = std::map<std::string, PackEntry>;  // by tensor

  // NOT_FOUND: there is no such file. Anything else: it is of no use.
  static absl::StatusOr<std::unique_ptr<PackFile>> open(const std::string& path, const std::string& source,
                                                        const std::string& choice);
  ~PackFile();
  PackFile(const PackFile&) = delete;
  PackFile& operator=(const PackFile&) = delete;

  const std::string& path() const { return path_; }
  const Entries& entries() const { return entries_; }
  // Into the matrix's own memory; any thread. After an error that holds anything.
  absl::Status read(const std::string& tensor, const PackedMatrix& matrix) const;

 private:
  friend class PackFileWriter;
  PackFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  absl::Status read_index(const std::string& source, const std::string& choice);
  absl::Status read_entries(const std::string& text, const std::string& source, const std::string& choice);
  absl::Status read_at(uint64_t at, std::byte* into, size_t bytes) const;

  std::string path_;
  int descriptor_;
  uint64_t data_end_ = 0;
  Entries entries_;
};

class PackFileWriter {
 public:
  static absl::StatusOr<std::unique_ptr<PackFileWriter>> create(const std::string& path);
  ~PackFileWriter();  // what is not finished disappears
  PackFileWriter(const PackFileWriter&) = delete;
  PackFileWriter& operator=(const PackFileWriter&) = delete;

  absl::Status add(const std::string& tensor, const PackedMatrix& matrix);
  // From another file. One that is damaged there is left out.
  absl::Status copy(const std::string& tensor, const PackFile& from);
  // On the disk, under its name.
  absl::Status finish(const std::string& source, const std::string& choice);
  uint64_t bytes() const { return position_; }

 private:
  PackFileWriter(std::string path, std::string scratch, int descriptor)
      : path_(std::move(path)), scratch_(std::move(scratch)), descriptor_(descriptor) {}
  absl::Status write(const void* from, size_t bytes);  // behind what is there

  std::string path_, scratch_;
  int descriptor_;
  uint64_t position_ = 0;
  PackFile::Entries entries_;
};

}  // namespace halftone
