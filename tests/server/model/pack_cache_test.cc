// The cache of packed weights: a second start reads what the first packed, and whatever is wrong with a file costs time
// and nothing else.
#include "server/model/pack_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <thread>

#include "server/model/checksum.h"
#include "tests/server/model/pack_cache_testing.h"

namespace halftone {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(PackCacheTest, ASecondStartReadsTheSameBytesAndPacksNothing) {
  fill();
  EXPECT_THAT(files_of(cache), ElementsAre(kDigits + "-w4.packed", kDigits + "-w8.packed"));
  for (int threads : {1, 3}) {
    const Loaded second(source(false), "w4a16,w8a16", cache, threads);
    ASSERT_TRUE(second.status.ok()) << second.status;
    EXPECT_THAT(second.warnings, IsEmpty());
    const std::string bytes = second.bytes(2);
    EXPECT_TRUE(bytes == expected_bytes().substr(0, bytes.size()));
    EXPECT_TRUE(std::is_sorted(second.progress.begin(), second.progress.end()));
    EXPECT_EQ(second.progress.back(), 1);
    EXPECT_FALSE(second.weights->mode(0).exact) << "they were rounded, if in another process";
  }
}

TEST_F(PackCacheTest, WithoutTheCacheMatricesAreReadAndPacked) {
  fill();
  EXPECT_FALSE(Loaded(source(false), "w8a16", "").status.ok());
  EXPECT_FALSE(Loaded(source(false), "bf16", cache).status.ok()) << "plain numbers are not kept";
}

TEST_F(PackCacheTest, CodesOfTheFileAreNotKept) {
  TinyCheckpoint tiny;
  tiny.body_type = "Q4_1";
  tiny.embedding_type = "Q8_0";
  write_tiny_gguf(directory.file("model.gguf"), tiny);
  const absl::StatusOr<ModelSource> gguf = open_model(directory.file("model.gguf"));
  ASSERT_TRUE(gguf.ok()) << gguf.status();
  EXPECT_TRUE(Loaded(*gguf, "w4a16", cache).status.ok());
  EXPECT_FALSE(std::filesystem::exists(cache));
  EXPECT_TRUE(Loaded(*gguf, "w8a16", cache).status.ok());
  EXPECT_EQ(files_of(cache).size(), 1u);
}

TEST_F(PackCacheTest, EachKindOfDamageIsNoticedAndRepaired) {
  fill();
  const std::string whole = read_all(w8_path());
  auto flipped = [&](size_t at) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    return bytes;
  };
  const std::pair<const char*, std::string> kinds[] = {
      {"another beginning", flipped(2)},
      {"another layout", flipped(8)},
      {"another length", flipped(16)},
      {"another place of the index", flipped(25)},
      {"another length of the index", flipped(32)},
      {"another checksum of the index", flipped(40)},
      {"the first byte of the data", flipped(64)},
      {"a byte in the middle", flipped(whole.size() / 2)},
      {"the index", flipped(whole.size() - 40)},
      {"truncated", whole.substr(0, whole.size() / 2)},
      {"a byte short", whole.substr(0, whole.size() - 1)},
      {"a byte long", whole + "x"},
      {"less than a header", whole.substr(0, 20)},
      {"empty", ""},
      {"something else", std::string(5000, 'z')},
  };
  for (const auto& [what, bytes] : kinds) {
    write_all(w8_path(), bytes);
    expect_repair(what);
  }
}

TEST_F(PackCacheTest, OneDamagedMatrixDoesNotSpoilTheOthersOfItsFile) {
  fill();
  const absl::StatusOr<std::unique_ptr<PackFile>> file = PackFile::open(w8_path(), kDigest, "w8");
  ASSERT_TRUE(file.ok()) << file.status();
  std::string bytes = read_all(w8_path());
  bytes[(*file)->entries().at("embedding").at + 100] ^= 1;
  write_all(w8_path(), bytes);
  // This start wants nothing but the embedding of that file.
  const Loaded repair(source(), "w4a16", cache);
  EXPECT_THAT(repair.warnings, ElementsAre(HasSubstr("embedding is damaged")));
  const Loaded after(source(false), "w4a16,w8a16", cache);
  ASSERT_TRUE(after.status.ok()) << after.status;
  const std::string all = after.bytes(2);
  EXPECT_TRUE(all == expected_bytes().substr(0, all.size()));
}

TEST_F(PackCacheTest, StartsWithOtherModesAddToAFile) {
  EXPECT_TRUE(Loaded(source(), "w4a16", cache).status.ok());
  EXPECT_FALSE(Loaded(source(false), "w8a16", cache).status.ok()) << "only the embedding is there";
  EXPECT_TRUE(Loaded(source(), "w8a16", cache).status.ok());
  EXPECT_TRUE(Loaded(source(false), "w8a16,w4a16", cache).status.ok());
}

TEST_F(PackCacheTest, AnotherSourceWithAlmostTheSameDigestIsPackedItself) {
  fill();
  const Loaded other(source(true, "sha256:" + kDigits + "2"), "w8a16", cache);
  ASSERT_TRUE(other.status.ok());
  EXPECT_THAT(other.warnings, ElementsAre(HasSubstr("of another source")));
  EXPECT_FALSE(Loaded(source(false), "w8a16", cache).status.ok()) << "the name is the other's now";
}

// What a build with another rule, or with other groups, would have left.
TEST_F(PackCacheTest, AnotherPackingIsNotTaken) {
  fill();
  WeightFormat newer = *find_weight_format("w8");
  newer.packing += 1;
  WeightFormat renamed = *find_weight_format("w8");
  renamed.name = "w9";
  std::vector<std::byte> memory(320 * 64 * 2);
  const PackedShape planned = *newer.plan(320, 64, 0);
  PackedShape grouped = planned, shorter = planned;
  grouped.group = 32;
  shorter.rows = 304;
  const std::pair<const WeightFormat*, PackedShape> others[] = {
      {&newer, planned}, {&renamed, planned}, {find_weight_format("w8"), grouped}, {find_weight_format("w8"), shorter}};
  for (const auto& [format, shape] : others) {
    auto writer = PackFileWriter::create(w8_path());
    ASSERT_TRUE(writer.ok()) << writer.status();
    ASSERT_TRUE((*writer)->add("embedding", {format, shape, memory.data(), memory.data()}).ok());
    ASSERT_TRUE((*writer)->finish(kDigest, "w8").ok());
    expect_repair("another packing");
  }
}

TEST_F(PackCacheTest, NoChangedByteOfAFileIsTakenForAnother) {
  std::vector<std::byte> codes(16 * 32), scales(16 * 2), got(codes.size() + scales.size());
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::byte>(i * 7);
  for (size_t i = 0; i < scales.size(); ++i) scales[i] = static_cast<std::byte>(i * 5);
  const WeightFormat& w8 = *find_weight_format("w8");
  const std::string path = directory.file("small");
  auto writer = PackFileWriter::create(path);
  ASSERT_TRUE((*writer)->add("q", {&w8, *w8.plan(16, 32, 0), codes.data(), scales.data()}).ok());
  ASSERT_TRUE((*writer)->finish("me", "w8").ok());
  const std::string whole = read_all(path);
  const PackedMatrix into{&w8, *w8.plan(16, 32, 0), got.data(), got.data() + codes.size()};
  auto taken = [&] {
    auto file = PackFile::open(path, "me", "w8");
    return file.ok() && (*file)->entries().contains("q") && (*file)->read("q", into).ok();
  };
  ASSERT_TRUE(taken());
  EXPECT_EQ(std::memcmp(got.data(), codes.data(), codes.size()), 0);
  for (size_t i = 0; i < whole.size(); i += i < 64 ? 1 : 5) {
    std::string bytes = whole;
    bytes[i] = static_cast<char>(bytes[i] + 1);
    write_all(path, bytes);
    const bool unused = i >= 48 && i < 64;
    EXPECT_EQ(taken(), unused) << "byte " << i;
  }
  for (size_t size = 0; size < whole.size(); size += 13) {
    write_all(path, whole.substr(0, size));
    EXPECT_FALSE(taken()) << size << " bytes";
  }
}

TEST_F(PackCacheTest, StartsAtOnceDoNotDisturbEachOther) {
  for (int round = 0; round < 3; ++round) {
    std::filesystem::remove_all(cache);
    std::vector<std::unique_ptr<Loaded>> starts(5);
    std::vector<std::thread> threads;
    for (auto& start : starts) {
      threads.emplace_back([&] { start = std::make_unique<Loaded>(source(), kModes, cache); });
    }
    for (std::thread& thread : threads) thread.join();
    for (const auto& start : starts) {
      ASSERT_TRUE(start->status.ok()) << start->status;
      EXPECT_THAT(start->warnings, IsEmpty());
      EXPECT_TRUE(start->bytes(3) == expected_bytes());
    }
    EXPECT_EQ(files_of(cache).size(), 2u) << "nothing half done is left";
    EXPECT_TRUE(Loaded(source(false), "w4a16,w8a16", cache).status.ok());
  }
}

TEST(Checksum, DependsOnEveryBitAndTheLengthAndNotOnThePieces) {
  std::vector<std::byte> bytes(100);
  auto sum = [](std::span<const std::byte> part) {
    Checksum checksum;
    checksum.add(part);
    return checksum.value();
  };
  const uint64_t whole = sum(bytes);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_NE(sum(bytes), whole) << "bit " << bit;
    bytes[bit / 8] = {};
  }
  EXPECT_NE(sum(std::span(bytes).first(99)), whole);
  Checksum pieces;
  pieces.add(std::span(bytes).first(64));
  pieces.add(std::span(bytes).subspan(64));
  EXPECT_EQ(pieces.value(), whole);
}

}  // namespace
}  // namespace halftone
