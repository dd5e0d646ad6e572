// What tests of the cache of packed weights share: tiny sources, starts that use the cache, and the files in it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cpu/cpu_device.h"
#include "kernels/weights/weights.h"
#include "server/model/pack_cache.h"
#include "server/model/weights.h"
#include "tests/server/model/memory_source.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
inline const std::string kDigits(32, 'a');
inline const std::string kDigest = "sha256:" + kDigits + "1";
inline const std::string kModes = "w4a16,w8a16,bf16";

// Matrices that cannot be read show that nobody tried.
inline ModelSource source(bool matrices_readable = true, const std::string& digest = kDigest) {
  MemoryTensors tensors = memory_tensors({});
  for (auto& [name, tensor] : tensors) tensor.readable = matrices_readable || tensor.rows == 1;
  ModelSource made = memory_source(tiny_config(), std::move(tensors));
  made.digest = digest;
  return made;
}

struct Loaded {
  Ledger ledger;
  std::unique_ptr<Device> device = make_cpu_device({.threads = 1, .isa = ""}, ledger);
  std::unique_ptr<Weights> weights;
  absl::Status status;
  std::vector<std::string> warnings;
  std::vector<double> progress;

  Loaded(const ModelSource& source, const std::string& modes, const std::string& directory, int threads = 2) {
    auto loaded = Weights::load(source, *parse_modes(modes), *device,
                                {.threads = threads,
                                 .progress = [&](double fraction) { progress.push_back(fraction); },
                                 .pack_cache = directory,
                                 .warn = [&](const std::string& line) { warnings.push_back(line); }});
    status = loaded.status();
    if (loaded.ok()) weights = *std::move(loaded);
  }

  // Every byte of every matrix.
  std::string bytes(size_t modes) const {
    std::string all;
    auto add = [&](const PackedMatrix* m) {
      const PackedBytes size = m->format->bytes(m->shape);
      all.append(reinterpret_cast<const char*>(m->codes), size.codes);
      if (size.scales > 0) all.append(reinterpret_cast<const char*>(m->scales), size.scales);
    };
    for (size_t i = 0; i < modes; ++i) {
      add(weights->mode(i).embedding);
      for (const LayerWeights& l : weights->mode(i).layers) {
        for (const PackedMatrix* m : l.matrices) {
          if (m != nullptr) add(m);
        }
      }
    }
    return all;
  }
};

inline const std::string& expected_bytes() {
  static const std::string kBytes = Loaded(source(), kModes, "").bytes(3);
  return kBytes;
}

inline std::vector<std::string> files_of(const std::string& directory) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) files.push_back(entry.path().filename());
  std::sort(files.begin(), files.end());
  return files;
}

inline std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_all(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

class PackCacheTest : public testing::Test {
 protected:
  std::string w8_path() const { return cache + "/" + kDigits + "-w8.packed"; }
  void fill() {
    const Loaded first(source(), kModes, cache);
    ASSERT_TRUE(first.status.ok()) << first.status;
    ASSERT_THAT(first.warnings, testing::IsEmpty());
  }
  // The start after the damage notices and packs again; the one after that has nothing to pack.
  void expect_repair(const std::string& what) {
    const Loaded damaged(source(), kModes, cache);
    ASSERT_TRUE(damaged.status.ok()) << what << ": " << damaged.status;
    EXPECT_THAT(damaged.warnings,
                testing::ElementsAre(testing::AllOf(testing::HasSubstr(w8_path()), testing::HasSubstr("packed anew"))))
        << what;
    EXPECT_TRUE(damaged.bytes(3) == expected_bytes()) << what;
    const Loaded repaired(source(false), "w4a16,w8a16", cache);
    EXPECT_TRUE(repaired.status.ok()) << what << ": " << repaired.status;
    EXPECT_THAT(repaired.warnings, testing::IsEmpty()) << what;
  }

  TestDirectory directory;
  std::string cache = directory.file("deep/cache");
};

}  // namespace halftone
