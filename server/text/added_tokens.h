// Finds tokens that stand in the raw text by their content, before anything else looks at it: the leftmost, then the
// longest. Immutable once filled; any thread may read.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/text/vocabulary.h"

namespace halftone {

class AddedTokens {
 public:
  void add(Vocabulary::AddedToken token);  // content not empty

  // A stretch of text in which special tokens may be seen, or not. They never reach over an edge; other tokens do, but
  // not into a special one that begins there.
  struct Zone {
    size_t end = 0;
    bool parse_special = false;
  };
  struct Match {
    size_t begin = 0, end = 0;  // with the white space that the token swallows
    TokenId id = 0;
  };
  // How far a text was looked through; begins with all zeros.
  struct Cursor {
    size_t at = 0, zone = 0, last_end = 0;
  };
  // The next match from the cursor on. The zones cover the text.
  std::optional<Match> next(std::string_view text, const std::vector<Zone>& zones, Cursor& cursor) const;

  const std::vector<Vocabulary::AddedToken>& tokens() const { return tokens_; }

 private:
  // `limit`: where the token ends at the latest.
  const Vocabulary::AddedToken* longest_at(std::string_view text, size_t at, const Zone& zone, size_t limit) const;
  const Vocabulary::AddedToken* match_at(std::string_view text, size_t at, const std::vector<Zone>& zones,
                                         size_t zone) const;
  static uint64_t edge(uint32_t node, char c) { return uint64_t{node} << 8 | static_cast<unsigned char>(c); }

  std::vector<Vocabulary::AddedToken> tokens_;
  std::bitset<256> first_bytes_;
  absl::flat_hash_map<uint64_t, uint32_t> edges_;  // a trie: (node, byte) -> node; node 0 is the root
  std::vector<int32_t> token_of_node_ = {-1};
};

}  // namespace halftone
