#include "server/source/vocabulary_fit.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "server/source/message.h"

namespace halftone {
namespace {

// The merges that take or make a spelling that is gone.
void drop_merges(const std::set<std::string, std::less<>>& gone, Vocabulary& v) {
  std::erase_if(v.merges, [&](const auto& merge) {
    return gone.contains(merge.first) || gone.contains(merge.second) || gone.contains(merge.first + merge.second);
  });
}

int64_t drop_pieces(int64_t rows, Vocabulary& v) {
  const int64_t count = static_cast<int64_t>(v.pieces.size());
  if (count <= rows) return 0;
  std::set<std::string, std::less<>> gone(v.pieces.begin() + rows, v.pieces.end());
  v.pieces.resize(static_cast<size_t>(rows));
  for (const std::string& piece : v.pieces) gone.erase(piece);
  if (!v.types.empty()) v.types.resize(static_cast<size_t>(rows));
  if (!v.scores.empty()) v.scores.resize(static_cast<size_t>(rows));
  drop_merges(gone, v);
  return count - rows;
}

}  // namespace

void drop_tokens_beyond(int64_t rows, const std::string& file, Vocabulary& vocabulary,
                        std::vector<std::string>& warnings) {
  auto beyond = [&](TokenId id) { return id < 0 || id >= rows; };
  if (const int64_t count = drop_pieces(rows, vocabulary); count > 0) {
    warnings.push_back(message(file, ": the tokens from id ", rows, " on (", count,
                               " of them) have no row in the embedding: left out"));
  }
  std::erase_if(vocabulary.added, [&](const Vocabulary::AddedToken& token) { return beyond(token.id); });
  auto drop = [&](std::string_view what, TokenId id) {
    warnings.push_back(
        message(file, ": the ", what, " token has id ", id, ", but the embedding has ", rows, " rows: left out"));
  };
  std::erase_if(vocabulary.eos, [&](TokenId id) {
    if (beyond(id)) drop("end", id);
    return beyond(id);
  });
  if (vocabulary.bos && beyond(*vocabulary.bos)) {
    drop("beginning", *vocabulary.bos);
    vocabulary.bos.reset();
    vocabulary.add_bos = false;
  }
  if (vocabulary.unknown && beyond(*vocabulary.unknown)) vocabulary.unknown.reset();
  if (vocabulary.pad && beyond(*vocabulary.pad)) vocabulary.pad.reset();
}

}  // namespace halftone
