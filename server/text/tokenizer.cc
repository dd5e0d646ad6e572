#include "server/text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "server/text/spelling.h"
#include "server/text/tokenizer_tables.h"
#include "server/text/unicode.h"
#include "server/text/utf8_stream.h"

namespace halftone {
// One call of encode: keeps the merger's memory from word to word.
class Tokenizer::Encoder {
 public:
  Encoder(const Tables& tables, const EncodeOptions& options)
      : tables_(tables), options_(options), merger_(tables.merges, options.stopped) {}

  std::vector<TokenId> encode(std::string_view text, const std::vector<AddedTokens::Zone>& zones) {
    AddedTokens::Cursor cursor;
    auto match = tables_.added.next(text, zones, cursor);
    if (options_.add_special && tables_.adds_bos()) {
      const TokenId bos = *tables_.vocabulary.bos;
      if (!match || match->begin > 0 || match->id != bos) out_.push_back(bos);
    }
    size_t begin = 0;
    for (; match && !over(0); match = tables_.added.next(text, zones, cursor)) {
      add_text(text.substr(begin, match->begin - begin), begin == 0);
      out_.push_back(match->id);
      begin = match->end;
    }
    add_text(text.substr(begin), begin == 0);
    return std::move(out_);
  }

 private:
  static constexpr size_t kBytesBetweenLooks = 1 << 14;

  // Whether the work ends here; `bytes`: what was done since the last call.
  bool over(size_t bytes) {
    work_ += bytes;
    if (work_ >= kBytesBetweenLooks && options_.stopped) {
      work_ = 0;
      stopped_ = stopped_ || options_.stopped();
    }
    return stopped_ || out_.size() > options_.max_tokens;
  }

  // Text without added tokens in it; `first`: nothing stands before it.
  void add_text(std::string_view text, bool first) {
    if (text.empty() || over(0)) return;
    if (tables_.sentence_piece()) return add_sentence(text, first);
    if (!tables_.vocabulary.nfc_normalize) return add_words(text);
    add_words(compose(text));
  }

  void add_words(std::string_view text) {
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = tables_.pre_tokenizer(text, begin);
      add_word(text.substr(begin, end - begin));
      if (over(end - begin)) return;
      begin = end;
    }
  }

  void add_word(std::string_view word) {
    if (tables_.vocabulary.ignore_merges) {
      const auto it = tables_.words.find(word);
      if (it != tables_.words.end()) return out_.push_back(it->second);
    }
    for (const char c : word) {
      const TokenId token = tables_.byte_tokens[static_cast<unsigned char>(c)];
      if (token != Tables::kNoToken) symbols_.push_back(token);
    }
    merge_symbols();
  }

  // SentencePiece: the whole text is one word, spaces are marks in it.
  void add_sentence(std::string_view text, bool first) {
    const Vocabulary& v = tables_.vocabulary;
    std::string marked = spaces_to_marks(text);
    const bool has_mark = std::string_view(marked).substr(0, kSpaceMark.size()) == kSpaceMark;
    const bool unwanted = (v.space_prefix_first_only && !first) || (v.space_prefix_if_missing && has_mark);
    if (v.add_space_prefix && !unwanted) marked.insert(0, kSpaceMark);
    bool after_mark = true;
    for (size_t at = 0; at < marked.size();) {
      const std::string_view rest = std::string_view(marked).substr(at);
      const bool at_mark = rest.starts_with(kSpaceMark);
      // Where no merge reaches over it, a word may end here as well: short queues are faster than one long one.
      if (at_mark && !after_mark && !tables_.merges_reach_over_marks) merge_symbols();
      if (over(1)) return symbols_.clear();
      after_mark = at_mark;
      const size_t bytes = character_at(rest, 0).bytes;
      add_character(rest.substr(0, bytes));
      at += bytes;
    }
    merge_symbols();
  }

  void add_character(std::string_view character) {
    const auto it = tables_.words.find(character);
    if (it != tables_.words.end()) return symbols_.push_back(it->second);
    const size_t before = symbols_.size();
    for (const char c : character) {
      const TokenId token = tables_.byte_tokens[static_cast<unsigned char>(c)];
      if (token == Tables::kNoToken) return add_unknown(before);
      symbols_.push_back(token);
    }
  }

  // A row of unknown characters is one unknown token.
  void add_unknown(size_t size) {
    symbols_.resize(size);
    const auto unknown = tables_.vocabulary.unknown;
    if (unknown && (symbols_.empty() || symbols_.back() != *unknown)) symbols_.push_back(*unknown);
  }

  void merge_symbols() {
    merger_.merge(symbols_);
    out_.insert(out_.end(), symbols_.begin(), symbols_.end());
    symbols_.clear();
  }

  const Tables& tables_;
  const EncodeOptions& options_;
  Merger merger_;
  size_t work_ = 0;  // bytes since `stopped` was asked
  bool stopped_ = false;
  std::vector<TokenId> symbols_;
  std::vector<TokenId> out_;
};

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::create(Vocabulary vocabulary) {
  auto tables = std::make_unique<Tables>();
  if (auto status = tables->fill(std::move(vocabulary)); !status.ok()) return status;
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(tables)));
}

Tokenizer::Tokenizer(std::unique_ptr<const Tables> tables) : tables_(std::move(tables)) {}
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  return Encoder(*tables_, options).encode(text, {{text.size(), options.parse_special}});
}

std::vector<TokenId> Tokenizer::encode(std::span<const TextSegment> segments, const EncodeOptions& options) const {
  std::string text;
  std::vector<AddedTokens::Zone> zones;
  for (const TextSegment& segment : segments) {
    text += segment.text;
    zones.push_back({text.size(), segment.parse_special});
  }
  return Encoder(*tables_, options).encode(text, zones);
}

std::string_view Tokenizer::piece(TokenId id) const {
  return contains(id) ? std::string_view(tables_->bytes[id]) : std::string_view();
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  std::string bytes;
  for (const TokenId id : ids) {
    if (!skip_special || !is_special(id)) bytes += piece(id);
  }
  Utf8Stream stream(drops_leading_space());
  std::string text = stream.push(bytes);
  return text + stream.flush();
}

bool Tokenizer::drops_leading_space() const {
  return tables_->sentence_piece() && tables_->vocabulary.add_space_prefix;
}

int64_t Tokenizer::size() const { return static_cast<int64_t>(tables_->bytes.size()); }

std::optional<TokenId> Tokenizer::find(std::string_view content) const {
  for (const auto* table : {&tables_->added_by_content, &tables_->words}) {
    const auto it = table->find(content);
    if (it != table->end()) return it->second;
  }
  return std::nullopt;
}

bool Tokenizer::is_eos(TokenId id) const { return tables_->eos_set.contains(id); }
bool Tokenizer::is_special(TokenId id) const { return contains(id) && tables_->special[id]; }
std::optional<TokenId> Tokenizer::bos() const { return tables_->vocabulary.bos; }
std::optional<TokenId> Tokenizer::unknown() const { return tables_->vocabulary.unknown; }
std::span<const TokenId> Tokenizer::eos() const { return tables_->eos; }
bool Tokenizer::adds_bos() const { return tables_->adds_bos(); }
std::optional<size_t> Tokenizer::most_bytes_per_token() const { return tables_->most_bytes_per_token; }

uint64_t Tokenizer::bytes_of_longest(size_t pieces) const {
  const std::vector<size_t>& longest = tables_->longest;
  uint64_t sum = 0;
  for (size_t i = 0; i < std::min(pieces, longest.size()); ++i) sum += longest[i];
  return pieces <= longest.size() ? sum : sum + (pieces - longest.size()) * longest.back();
}

size_t Tokenizer::most_text_bytes_per_token() const { return tables_->most_text_bytes; }

size_t Tokenizer::least_tokens(std::string_view text) const {
  if (!tables_->most_bytes_per_token) return 0;
  const auto seen = std::count_if(text.begin(), text.end(), [&](char c) {
    return tables_->byte_tokens[static_cast<unsigned char>(c)] != Tables::kNoToken;
  });
  const size_t most = *tables_->most_bytes_per_token;
  return (static_cast<size_t>(seen) + most - 1) / most;
}

}  // namespace halftone
