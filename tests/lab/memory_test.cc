// What an evaluation holds at once does not grow with its windows but by their KV pages and tables.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "tests/lab/lab_rig.h"
#include "tests/server/model/memory_source.h"

namespace {

std::atomic<int64_t> held{0}, most{0};

void* counted_new(size_t bytes) {
  void* data = std::malloc(bytes > 0 ? bytes : 1);
  if (data == nullptr) std::abort();
  const int64_t now =
      held.fetch_add(static_cast<int64_t>(malloc_usable_size(data))) + static_cast<int64_t>(malloc_usable_size(data));
  int64_t before = most.load();
  while (now > before && !most.compare_exchange_weak(before, now)) {
  }
  return data;
}

void counted_delete(void* data) noexcept {
  if (data == nullptr) return;
  held.fetch_sub(static_cast<int64_t>(malloc_usable_size(data)));
  std::free(data);
}

}  // namespace

void* operator new(size_t bytes) { return counted_new(bytes); }
void* operator new[](size_t bytes) { return counted_new(bytes); }
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return counted_new(bytes); }
void* operator new[](size_t bytes, const std::nothrow_t&) noexcept { return counted_new(bytes); }
void operator delete(void* data) noexcept { counted_delete(data); }
void operator delete[](void* data) noexcept { counted_delete(data); }
void operator delete(void* data, size_t) noexcept { counted_delete(data); }
void operator delete[](void* data, size_t) noexcept { counted_delete(data); }

namespace halftone {
namespace {

struct Peak {
  int64_t heap = 0;    // of the evaluation alone
  int64_t device = 0;  // without weights, KV pages and rotation tables
};

Peak peak_of(const ModelSource& source, const std::string& modes, int64_t window_tokens) {
  const LabRig lab(source, modes);
  const TextWindows text = lab.text(1, window_tokens);
  const int64_t before = held.load();
  most.store(before);
  lab.run(text);
  Peak peak;
  peak.heap = most.load() - before;
  for (const MemoryEntry& entry : lab.ledger.entries()) {
    const bool counts =
        entry.tag.category == MemoryCategory::kActivations || entry.tag.category == MemoryCategory::kWorkspace;
    if (counts)
      peak.device += static_cast<int64_t>(*std::max_element(entry.peak_bytes.begin(), entry.peak_bytes.end()));
  }
  return peak;
}

TEST(LabMemory, HoldsBlocksOfRowsAndNeverAWindowOfLogits) {
  TinyCheckpoint tiny;
  tiny.config.vocabulary = 4096;
  const ModelSource source = tiny_source(tiny);
  const int64_t window = 512, row = 4096 * 4;
  const Peak small = peak_of(source, "bf16,w4g32a8", 64), large = peak_of(source, "bf16,w4g32a8", window);
  EXPECT_EQ(large.device, small.device);
  EXPECT_LT(large.heap - small.heap, window * 200) << "some numbers for each position and mode";
  EXPECT_LT(large.heap, 16 * row * 5) << "two rows of doubles for each of sixteen, and little else";
  EXPECT_LT(large.heap, window * row / 4);
}

}  // namespace
}  // namespace halftone
