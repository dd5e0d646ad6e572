// While a model is packed, only a few rows of it are in memory a second time.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "kernels/cpu/cpu_device.h"
#include "server/model/weights.h"
#include "tests/support/checkpoint_writer.h"

namespace {

// What operator new gave and did not get back yet, and the most that this ever was. Each block begins with its size.
std::atomic<int64_t> live{0}, peak{0};
constexpr size_t kHeader = alignof(std::max_align_t);

void* counted(size_t bytes) {
  auto* block = static_cast<std::byte*>(std::malloc(bytes + kHeader));
  if (block == nullptr) std::abort();
  *reinterpret_cast<size_t*>(block) = bytes;
  const int64_t now = live.fetch_add(static_cast<int64_t>(bytes)) + static_cast<int64_t>(bytes);
  int64_t seen = peak.load();
  while (seen < now && !peak.compare_exchange_weak(seen, now)) {
  }
  return block + kHeader;
}

void give_back(void* pointer) {
  if (pointer == nullptr) return;
  std::byte* block = static_cast<std::byte*>(pointer) - kHeader;
  live.fetch_sub(static_cast<int64_t>(*reinterpret_cast<size_t*>(block)));
  std::free(block);
}

}  // namespace

void* operator new(size_t bytes) { return counted(bytes); }
void* operator new[](size_t bytes) { return counted(bytes); }
void operator delete(void* pointer) noexcept { give_back(pointer); }
void operator delete[](void* pointer) noexcept { give_back(pointer); }
void operator delete(void* pointer, size_t) noexcept { give_back(pointer); }
void operator delete[](void* pointer, size_t) noexcept { give_back(pointer); }

namespace halftone {
namespace {

TEST(Memory, AModelIsNeverThereTwice) {
  TestDirectory directory;
  TinyCheckpoint tiny;
  tiny.config.dim = 256;
  tiny.config.ffn = 1024;
  tiny.config.vocabulary = 4000;
  tiny.body_type = "Q4_1";
  tiny.embedding_type = "Q8_0";
  write_tiny_gguf(directory.file("model.gguf"), tiny);
  const absl::StatusOr<ModelSource> source = open_model(directory.file("model.gguf"));
  ASSERT_TRUE(source.ok()) << source.status();
  Ledger ledger;
  const std::unique_ptr<Device> device = make_cpu_device({.threads = 1, .isa = ""}, ledger);
  for (int threads : {1, 3}) {
    const int64_t before = live.load();
    peak.store(before);
    auto weights = Weights::load(*source, *parse_modes("f32,w4a16"), *device, threads, {});
    ASSERT_TRUE(weights.ok());
    // 64 rows of the widest matrix as floats, and as the format's numbers, for each thread; names and tables besides.
    const int64_t rows = kPackRows * 1024 * 4;
    EXPECT_LT(peak.load() - before, threads * 2 * rows + 200'000) << "of " << ledger.total() << " bytes of weights";
    EXPECT_GT(ledger.total(), 20u * static_cast<uint64_t>(rows)) << "or the bound would say nothing";
  }
}

TEST(Memory, NorIsItWhenPackedWeightsAreKeptAndReadAgain) {
  TestDirectory directory;
  TinyCheckpoint tiny;
  tiny.config.dim = 256;
  tiny.config.ffn = 1024;
  tiny.config.vocabulary = 12000;
  write_tiny_gguf(directory.file("model.gguf"), tiny);
  const absl::StatusOr<ModelSource> source = open_model(directory.file("model.gguf"));
  ASSERT_TRUE(source.ok()) << source.status();
  Ledger ledger;
  const std::unique_ptr<Device> device = make_cpu_device({.threads = 1, .isa = ""}, ledger);
  for (const char* start : {"that packs", "that reads"}) {
    const int64_t before = live.load();
    peak.store(before);
    auto weights = Weights::load(*source, *parse_modes("w8a16,w4a16"), *device,
                                 {.threads = 2, .pack_cache = directory.file("cache")});
    ASSERT_TRUE(weights.ok());
    // For each of two threads 64 rows of the widest matrix as floats, as codes of a byte, and the search's tile of up
    // to 32 rows; names and tables besides.
    const int64_t rows = kPackRows * 1024 * 4;
    EXPECT_LT(peak.load() - before, 2 * (rows + rows / 4 + rows / 2) + 300'000) << "in a start " << start;
    EXPECT_GT(ledger.total(), 12u * static_cast<uint64_t>(rows)) << "or the bound would say nothing";
  }
}

}  // namespace
}  // namespace halftone
