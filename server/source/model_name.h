// What a checkpoint is called after where it lies, and where in a cache of Hugging Face it lies. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace halftone {

// The directory's own name; of .../models--ORG--NAME/snapshots/HASH, as the cache lays them out, ORG/NAME. Clean.
std::string name_of_directory(const std::string& path);

// The file's name without ".gguf" and without the number of a part. Clean.
std::string name_of_gguf(const std::string& path);

// PREFIX-00002-of-00003.gguf; numbers count from 1.
struct GgufPartName {
  std::string prefix;  // with the directory
  int64_t number = 0, count = 0;

  std::string path(int64_t of_number) const;
};
std::optional<GgufPartName> gguf_part_name(const std::string& path);

// Of a directory models--ORG--NAME of the cache the snapshot that is in use; any other directory as it is.
std::string snapshot_directory(const std::string& path);

}  // namespace halftone
