#include "kernels/contract/ledger.h"

#include <algorithm>

#include "kernels/contract/check.h"

namespace halftone {

const char* memory_category_name(MemoryCategory category) {
  static constexpr const char* kNames[kMemoryCategories] = {
      "weights", "weight_scales", "kv_cache", "kv_scales", "kv_padding", "activations", "workspace", "graphs", "other"};
  return kNames[static_cast<int>(category)];
}

const char* memory_stage_name(MemoryStage stage) {
  static constexpr const char* kNames[kMemoryStages] = {"load", "prefill", "decode"};
  return kNames[static_cast<int>(stage)];
}

void Ledger::add(const MemoryTag& tag, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  MemoryEntry& entry = entries_[tag];
  entry.tag = tag;
  entry.bytes += bytes;
  uint64_t& peak = entry.peak_bytes[static_cast<size_t>(stage_)];
  peak = std::max(peak, entry.bytes);
}

void Ledger::subtract(const MemoryTag& tag, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  auto it = entries_.find(tag);
  HALFTONE_CHECK(it != entries_.end() && it->second.bytes >= bytes);
  it->second.bytes -= bytes;
}

void Ledger::set(const MemoryTag& tag, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  MemoryEntry& entry = entries_[tag];
  entry.tag = tag;
  entry.bytes = bytes;
  uint64_t& peak = entry.peak_bytes[static_cast<size_t>(stage_)];
  peak = std::max(peak, bytes);
}

void Ledger::set_stage(MemoryStage stage) {
  std::lock_guard lock(mutex_);
  stage_ = stage;
  raise_peaks();
}

void Ledger::raise_peaks() {
  for (auto& [tag, entry] : entries_) {
    uint64_t& peak = entry.peak_bytes[static_cast<size_t>(stage_)];
    peak = std::max(peak, entry.bytes);
  }
}

std::vector<MemoryEntry> Ledger::entries() const {
  std::lock_guard lock(mutex_);
  std::vector<MemoryEntry> all;
  all.reserve(entries_.size());
  for (const auto& [tag, entry] : entries_) all.push_back(entry);
  return all;
}

uint64_t Ledger::total() const {
  std::lock_guard lock(mutex_);
  uint64_t sum = 0;
  for (const auto& [tag, entry] : entries_) sum += entry.bytes;
  return sum;
}

}  // namespace halftone
