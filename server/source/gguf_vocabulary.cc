#include "server/source/gguf_vocabulary.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "server/text/pre_tokenizer.h"
#include "server/text/spelling.h"

namespace halftone {
namespace {

using Kind = Vocabulary::Kind;
using PieceType = Vocabulary::PieceType;

constexpr int64_t kNoId = 0xffffffff;

class Reader {
 public:
  explicit Reader(const GgufMetadata& metadata) : metadata_(metadata) {}

  absl::StatusOr<TokenizerFiles> read() {
    for (const auto step : {&Reader::read_kind, &Reader::read_pieces, &Reader::read_types, &Reader::read_scores,
                            &Reader::read_merges, &Reader::read_ids}) {
      if (auto status = (this->*step)(); !status.ok()) return status;
    }
    read_added();
    v_.add_bos =
        metadata_.flag("tokenizer.ggml.add_bos_token").value_or(v_.kind == Kind::kSentencePieceBpe || v_.ignore_merges);
    files_.chat_template = metadata_.text("tokenizer.chat_template").value_or("");
    return std::move(files_);
  }

 private:
  static absl::Status wrong(const std::string& key, const std::string& problem) {
    return absl::InvalidArgumentError(key + " " + problem);
  }

  absl::Status read_kind() {
    const std::string key = "tokenizer.ggml.model";
    const auto model = metadata_.text(key);
    if (!model) return wrong(key, "is missing or no text");
    if (*model == "gpt2") {
      v_.kind = Kind::kByteLevelBpe;
      const std::string pre = metadata_.text("tokenizer.ggml.pre").value_or("(tokenizer.ggml.pre is missing)");
      v_.pre_tokenizer = pre_tokenizer_of_gguf(pre);
      v_.ignore_merges = gguf_name_takes_words_whole(pre);
      v_.nfc_normalize = v_.pre_tokenizer == "qwen2";
      return absl::OkStatus();
    }
    if (*model == "llama") {
      v_.kind = Kind::kSentencePieceBpe;
      v_.add_space_prefix = metadata_.flag("tokenizer.ggml.add_space_prefix").value_or(true);
      return absl::OkStatus();
    }
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s is %s; known ones: gpt2 (byte-level BPE), llama (SentencePiece BPE)", key, quoted_piece(*model)));
  }

  absl::Status read_pieces() {
    const std::string key = "tokenizer.ggml.tokens";
    const auto* pieces = metadata_.find<std::vector<std::string>>(key);
    if (pieces == nullptr || pieces->empty()) return wrong(key, "is missing, empty or no array of texts");
    v_.pieces = *pieces;
    return absl::OkStatus();
  }

  absl::Status check_length(const std::string& key, size_t length) const {
    if (length == v_.pieces.size()) return absl::OkStatus();
    return wrong(key, absl::StrFormat("has %d entries, tokenizer.ggml.tokens has %d", length, v_.pieces.size()));
  }

  absl::Status read_types() {
    const std::string key = "tokenizer.ggml.token_type";
    if (!metadata_.has(key)) return absl::OkStatus();
    const auto* types = metadata_.find<std::vector<int64_t>>(key);
    if (types == nullptr) return wrong(key, "is no array of integers");
    if (auto status = check_length(key, types->size()); !status.ok()) return status;
    constexpr PieceType kTypes[] = {PieceType::kNormal,  PieceType::kNormal,      PieceType::kUnknown,
                                    PieceType::kControl, PieceType::kUserDefined, PieceType::kUnused,
                                    PieceType::kByte};
    for (const int64_t type : *types) {
      if (type < 0 || type > 6) return wrong(key, absl::StrFormat("has an entry %d; 0 to 6 are possible", type));
      v_.types.push_back(kTypes[type]);
      if (type == 6) v_.byte_fallback = true;
    }
    return absl::OkStatus();
  }

  absl::Status read_scores() {
    if (v_.kind != Kind::kSentencePieceBpe) return absl::OkStatus();
    const std::string key = "tokenizer.ggml.scores";
    const auto* scores = metadata_.find<std::vector<double>>(key);
    if (scores == nullptr) return wrong(key, "is missing or no array of numbers");
    if (auto status = check_length(key, scores->size()); !status.ok()) return status;
    for (const double score : *scores) v_.scores.push_back(static_cast<float>(score));
    return absl::OkStatus();
  }

  absl::Status read_merges() {
    if (v_.kind != Kind::kByteLevelBpe) return absl::OkStatus();
    const std::string key = "tokenizer.ggml.merges";
    const auto* merges = metadata_.find<std::vector<std::string>>(key);
    if (merges == nullptr) return wrong(key, "is missing or no array of texts");
    for (const std::string& merge : *merges) {
      const size_t space = merge.find(' ', 1);
      if (space == std::string::npos || space + 1 == merge.size()) {
        return wrong(key, absl::StrFormat("has an entry %d that is no pair of pieces", v_.merges.size()));
      }
      v_.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
    }
    return absl::OkStatus();
  }

  absl::Status read_id(const std::string& name, std::optional<TokenId>& id) const {
    const std::string key = "tokenizer.ggml." + name + "_token_id";
    if (!metadata_.has(key)) return absl::OkStatus();
    const auto value = metadata_.integer(key);
    if (!value) return wrong(key, "is no integer");
    if (*value == kNoId || *value == -1) return absl::OkStatus();
    if (*value < 0 || *value >= static_cast<int64_t>(v_.pieces.size())) {
      return wrong(key, absl::StrFormat("is %d; there are %d tokens", *value, v_.pieces.size()));
    }
    id = static_cast<TokenId>(*value);
    return absl::OkStatus();
  }

  absl::Status read_ids() {
    std::optional<TokenId> eos, eot;
    for (const auto& [name, id] :
         {std::pair{"bos", &v_.bos}, {"eos", &eos}, {"eot", &eot}, {"unknown", &v_.unknown}, {"padding", &v_.pad}}) {
      if (auto status = read_id(name, *id); !status.ok()) return status;
    }
    if (eos) v_.eos.push_back(*eos);
    if (eot && eot != eos) v_.eos.push_back(*eot);
    return absl::OkStatus();
  }

  void read_added() {
    for (size_t id = 0; id < v_.types.size(); ++id) {
      const PieceType type = v_.types[id];
      const bool special = type == PieceType::kControl || type == PieceType::kUnknown;
      if ((!special && type != PieceType::kUserDefined) || v_.pieces[id].empty()) continue;
      v_.added.push_back({v_.pieces[id], static_cast<TokenId>(id), special});
    }
  }

  const GgufMetadata& metadata_;
  TokenizerFiles files_;
  Vocabulary& v_ = files_.vocabulary;
};

}  // namespace

absl::StatusOr<TokenizerFiles> read_gguf_vocabulary(const GgufMetadata& metadata) { return Reader(metadata).read(); }

}  // namespace halftone
