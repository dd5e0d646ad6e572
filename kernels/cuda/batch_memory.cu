#include "kernels/cuda/batch_memory.h"

#include <algorithm>

#include "kernels/cuda/attention.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr int64_t kHeader = 4;  // of int32; the rest stays aligned to 16 bytes

int64_t power_of_two(int64_t n) {
  int64_t power = 1;
  while (power < n) power *= 2;
  return power;
}

}  // namespace

int64_t BatchMemory::begin(const StepBatch& batch) {
  const int64_t tokens = static_cast<int64_t>(batch.tokens.size());
  const int64_t most = std::max(batch.max_rows, tokens);
  int64_t pages = 0, longest = 1;
  for (const AttentionSequence& s : batch.sequences) {
    pages += static_cast<int64_t>(s.pages.size());
    longest = std::max(longest, s.first_position + s.tokens);
  }
  const bool decodes = batch.sequences.size() == batch.tokens.size();
  rows_capacity_ = std::max(rows_capacity_, (most + 3) / 4 * 4);
  if (memory_.reserve(static_cast<size_t>(kHeader + 3 * rows_capacity_ + pages))) ++generation_;
  splits_ = static_cast<int>(power_of_two((longest + kAttentionSplit - 1) / kAttentionSplit));
  memory_.wait_for_upload();
  if (memory_.host() != nullptr) write(batch);
  return decodes ? std::min(power_of_two(tokens), most) : tokens;
}

void BatchMemory::write(const StepBatch& batch) {
  int32_t* const base = memory_.host();
  int32_t *ids = base + kHeader, *positions = ids + rows_capacity_, *page_begin = positions + rows_capacity_;
  int32_t *const pages = page_begin + rows_capacity_, *next = pages;
  base[0] = static_cast<int32_t>(batch.tokens.size());
  std::copy(batch.tokens.begin(), batch.tokens.end(), ids);
  for (const AttentionSequence& s : batch.sequences) {
    for (int64_t i = 0; i < s.tokens; ++i) {
      positions[s.first_token + i] = static_cast<int32_t>(s.first_position + i);
      page_begin[s.first_token + i] = static_cast<int32_t>(next - pages);
    }
    next = std::copy(s.pages.begin(), s.pages.end(), next);
  }
  memory_.upload(static_cast<size_t>(next - base));
}

DeviceBatch BatchMemory::device() const {
  const int32_t* base = memory_.device();
  const int32_t *ids = base + kHeader, *positions = ids + rows_capacity_, *page_begin = positions + rows_capacity_;
  return {base, ids, positions, page_begin, page_begin + rows_capacity_};
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
