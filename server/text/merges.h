// Which two neighbours become one token, and in what order: the heart of BPE.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/text/vocabulary.h"

namespace halftone {

struct Merge {
  uint32_t rank = 0;  // the lowest goes first
  TokenId merged = 0;
};

// Immutable once filled; any thread may read.
class MergeTable {
 public:
  void reserve(size_t pairs) { table_.reserve(pairs); }
  // The first one of a pair counts.
  void add(TokenId left, TokenId right, Merge merge) { table_.try_emplace(key(left, right), merge); }
  const Merge* find(TokenId left, TokenId right) const {
    const auto it = table_.find(key(left, right));
    return it == table_.end() ? nullptr : &it->second;
  }

 private:
  static uint64_t key(TokenId left, TokenId right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  absl::flat_hash_map<uint64_t, Merge> table_;
};

// Merges the symbols of one word, the lowest rank first and of equals the leftmost: a queue of pairs over a linked
// list, n log n. Keeps its memory from word to word; one thread at a time.
class Merger {
 public:
  // `stopped` (may be empty) is asked now and then inside a long word: true leaves the word half merged.
  Merger(const MergeTable& table, const std::function<bool()>& stopped) : table_(table), stopped_(stopped) {}
  void merge(std::vector<TokenId>& symbols);

 private:
  void offer(const std::vector<TokenId>& symbols, uint32_t left);

  const MergeTable& table_;
  const std::function<bool()>& stopped_;
  std::vector<uint64_t> queue_;  // rank in the high half, the left symbol in the low one; the smallest on top
  std::vector<uint32_t> next_, previous_;
};

}  // namespace halftone
