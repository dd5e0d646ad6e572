// Weights on a device that holds them in a layout of its own, in memory of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "server/model/weights.h"
#include "tests/kernels/remote_device.h"
#include "tests/server/model/memory_source.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

using test::RemoteDevice;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

struct Loaded {
  Ledger ledger;
  RemoteDevice device{{.threads = 1, .isa = ""}, ledger};
  std::vector<std::string> warnings;
  std::unique_ptr<Weights> weights;

  absl::Status load(const std::string& modes, const std::string& pack_cache = "") {
    const ModelSource source = tiny_source();
    auto loaded = Weights::load(
        source, *parse_modes(modes), device,
        {.threads = 3, .pack_cache = pack_cache, .warn = [&](const std::string& line) { warnings.push_back(line); }});
    if (loaded.ok()) weights = *std::move(loaded);
    return loaded.status();
  }
};

// Of the tiny checkpoint: 2 layers of q, o [64, 64], k, v [32, 64], gate, up [96, 64], down [64, 96]; and vectors.
constexpr uint64_t kBody = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64), kEmbedding = 320 * 64;
constexpr uint64_t kVectorBytes = (64 + 2 * 2 * 64) * 4;
constexpr uint64_t kBodyPieces = 2 * (2 + 2 + 2 * 2 + 1), kEmbeddingPieces = 5;  // of 64 rows, each with a header

TEST(RemoteWeights, BytesAreThoseThatTheDeviceHolds) {
  Loaded loaded;
  ASSERT_TRUE(loaded.load("bf16").ok());
  const ModeWeights& mode = loaded.weights->mode(0);
  const uint64_t head = kEmbedding * 2 + kEmbeddingPieces * RemoteDevice::kPieceHeader;
  const uint64_t body = kBody * 2 + kBodyPieces * RemoteDevice::kPieceHeader;
  EXPECT_EQ(mode.own_bytes, head + body);
  EXPECT_EQ(mode.head_bytes, head);
  EXPECT_EQ(mode.body_bytes, body + kVectorBytes);
  EXPECT_DOUBLE_EQ(mode.bits_per_weight, 8.0 * static_cast<double>(head + body) / (kBody + kEmbedding));
  EXPECT_EQ(loaded.ledger.total(), head + body + kVectorBytes);
}

TEST(RemoteWeights, AModeThatTheDeviceCannotRunIsRefusedByItsNames) {
  Loaded loaded;
  loaded.device.refuse("w4", Activations::kA8);
  EXPECT_TRUE(loaded.load("w4a16,w8a8").ok());
  const absl::Status status = loaded.load("w4a16,w4a8");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("mode w4a8"), HasSubstr("device remote"), HasSubstr("weight format w4 with a8")));
}

TEST(RemoteWeights, AreNotKeptAndThatIsSaidOnce) {
  const TestDirectory directory;
  Loaded loaded;
  ASSERT_TRUE(loaded.load("w4a16,w8a16", directory.file("cache")).ok());
  EXPECT_THAT(loaded.warnings, ElementsAre(HasSubstr("device remote")));
  EXPECT_FALSE(std::filesystem::exists(directory.file("cache")));
}

}  // namespace
}  // namespace halftone
