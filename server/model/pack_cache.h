// Keeps packed matrices in a directory, so that the next start reads them: one file for each source and WeightChoice
// (pack_file.h). What is found is checked, and what cannot be used is packed again; nothing that goes wrong here ends a
// start. Several processes may use one directory: files are replaced as a whole, the last one stays. Whoever can write
// to the directory decides on the weights: it is as trusted as the checkpoint. So a directory that anybody may write to
// is not used, nor is such a file in it; that another user owns it is said. A link is followed to be read, and
// replaced.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "server/model/pack_file.h"

namespace halftone {

class PackCache {
 public:
  // `source`: ModelSource::digest. `warn` hears one line for each file that is of no use or cannot be written.
  PackCache(std::string directory, std::string source, std::function<void(const std::string&)> warn);

  // Formats whose packing only rounds are as fast to pack as to read; those are not for this cache.
  static bool keeps(const WeightFormat& format) { return format.packing > 0; }

  // A matrix that may be in the cache; its memory is there by the time of read(). Returns its number.
  size_t add(const std::string& tensor, const std::string& choice, const PackedMatrix& matrix);
  void open();                                                    // after the last add()
  bool holds(size_t item) const { return items_[item].present; }  // after open()
  bool read(size_t item);  // false: damaged, and the matrix is zeroed. Any thread, another item each.
  void write();            // every file that lacks a matrix of ours

 private:
  struct File {
    std::string path;
    std::unique_ptr<PackFile> old;
    std::string trouble;   // the first one
    bool complete = true;  // `old` holds what we want
    std::vector<size_t> items;
  };
  struct Item {
    std::string tensor;
    const PackedMatrix* matrix;
    File* file;
    bool present = false;
  };

  bool may_be_used() const;
  void open_file(const std::string& choice, File* file);
  bool is_ours(const std::string& tensor, const File& file) const;
  absl::Status write_file(const std::string& choice, const File& file) const;

  std::string directory_, source_;
  std::function<void(const std::string&)> warn_;
  std::map<std::string, File> files_;  // by choice
  std::vector<Item> items_;
  bool used_ = true;
  std::mutex mutex_;  // trouble and complete of the files while items are read
};

}  // namespace halftone
