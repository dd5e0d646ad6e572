#include "server/text/added_tokens.h"

#include <algorithm>
#include <utility>

#include "server/text/unicode.h"

namespace halftone {

void AddedTokens::add(Vocabulary::AddedToken token) {
  uint32_t node = 0;
  for (const char c : token.content) {
    const auto [it, added] = edges_.try_emplace(edge(node, c), static_cast<uint32_t>(token_of_node_.size()));
    if (added) token_of_node_.push_back(-1);
    node = it->second;
  }
  first_bytes_.set(static_cast<unsigned char>(token.content[0]));
  if (token_of_node_[node] >= 0) return;  // the same content twice: the first one counts
  token_of_node_[node] = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(std::move(token));
}

const Vocabulary::AddedToken* AddedTokens::longest_at(std::string_view text, size_t at, const Zone& zone,
                                                      size_t limit) const {
  const Vocabulary::AddedToken* found = nullptr;
  uint32_t node = 0;
  for (size_t end = at; end < limit;) {
    const auto it = edges_.find(edge(node, text[end]));
    if (it == edges_.end()) break;
    node = it->second;
    ++end;
    if (token_of_node_[node] < 0) continue;
    const auto& token = tokens_[token_of_node_[node]];
    if (token.special && (!zone.parse_special || end > zone.end)) continue;
    if (token.single_word &&
        (is_word_character(character_before(text, at)) || is_word_character(character_at(text, end)))) {
      continue;
    }
    found = &token;
  }
  return found;
}

const Vocabulary::AddedToken* AddedTokens::match_at(std::string_view text, size_t at, const std::vector<Zone>& zones,
                                                    size_t zone) const {
  const Vocabulary::AddedToken* token = longest_at(text, at, zones[zone], text.size());
  if (token == nullptr || token->special) return token;
  for (size_t next = zone + 1; next < zones.size() && zones[next - 1].end < at + token->content.size(); ++next) {
    const size_t edge = zones[next - 1].end;
    const Vocabulary::AddedToken* behind = longest_at(text, edge, zones[next], text.size());
    if (behind != nullptr && behind->special) return longest_at(text, at, zones[zone], edge);
  }
  return token;
}

std::optional<AddedTokens::Match> AddedTokens::next(std::string_view text, const std::vector<Zone>& zones,
                                                    Cursor& cursor) const {
  if (tokens_.empty()) return std::nullopt;
  for (; cursor.at < text.size(); ++cursor.at) {
    if (!first_bytes_.test(static_cast<unsigned char>(text[cursor.at]))) continue;
    while (cursor.zone + 1 < zones.size() && cursor.at >= zones[cursor.zone].end) ++cursor.zone;
    const Vocabulary::AddedToken* token = match_at(text, cursor.at, zones, cursor.zone);
    if (token == nullptr) continue;
    Match match{cursor.at, cursor.at + token->content.size(), token->id};
    while (token->lstrip && match.begin > cursor.last_end) {
      const Character c = character_before(text, match.begin);
      if (c.kind != CharClass::kSpace || match.begin - c.bytes < cursor.last_end) break;
      match.begin -= c.bytes;
    }
    while (token->rstrip) {
      const Character c = character_at(text, match.end);
      if (c.bytes == 0 || c.kind != CharClass::kSpace) break;
      match.end += c.bytes;
    }
    cursor.at = cursor.last_end = match.end;
    return match;
  }
  return std::nullopt;
}

}  // namespace halftone
