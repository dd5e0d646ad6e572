// The account of every byte that a device holds: by owner (a mode, a weight format that modes share, "graphs", or
// "shared") and category. Any thread. Peaks are kept by stage; the stage is set by whoever runs the step.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace halftone {

enum class MemoryCategory : uint8_t {
  kWeights,
  kWeightScales,
  kKvCache,
  kKvScales,
  kKvPadding,
  kActivations,
  kWorkspace,
  kGraphs,
  kOther,
};
constexpr int kMemoryCategories = 9;
const char* memory_category_name(MemoryCategory category);

enum class MemoryStage : uint8_t { kLoad, kPrefill, kDecode };
constexpr int kMemoryStages = 3;
const char* memory_stage_name(MemoryStage stage);

struct MemoryTag {
  std::string owner;
  MemoryCategory category = MemoryCategory::kOther;
  friend auto operator<=>(const MemoryTag&, const MemoryTag&) = default;
};

struct MemoryEntry {
  MemoryTag tag;
  uint64_t bytes = 0;
  std::array<uint64_t, kMemoryStages> peak_bytes{};  // the most that was held while the stage was on
};

class Ledger {
 public:
  void add(const MemoryTag& tag, uint64_t bytes);
  void subtract(const MemoryTag& tag, uint64_t bytes);
  // Overwrites the bytes of one tag, for what changes its owner as KV pages do: the caller sets every tag that takes
  // part.
  void set(const MemoryTag& tag, uint64_t bytes);
  void set_stage(MemoryStage stage);

  std::vector<MemoryEntry> entries() const;
  uint64_t total() const;

 private:
  void raise_peaks();

  mutable std::mutex mutex_;
  MemoryStage stage_ = MemoryStage::kLoad;
  std::map<MemoryTag, MemoryEntry> entries_;
};

}  // namespace halftone
