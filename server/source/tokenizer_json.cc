#include "server/source/tokenizer_json.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "server/source/json_fields.h"
#include "server/text/clean_text.h"
#include "server/text/pre_tokenizer.h"
#include "server/text/spelling.h"

namespace halftone {
namespace {

using nlohmann::json;
using Kind = Vocabulary::Kind;
using PieceType = Vocabulary::PieceType;

constexpr int64_t kMaxGaps = 65536;  // ids without a token; more is a lie, and memory

absl::Status wrong(const std::string& problem) { return absl::InvalidArgumentError("tokenizer.json: " + problem); }
absl::Status unknown_kind(const std::string& problem) {
  return absl::FailedPreconditionError("tokenizer.json: " + problem);
}

const json* find(const json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

std::string text_of(const json& object, const char* key) {
  const json* value = find(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

bool flag_of(const json& object, const char* key, bool fallback = false) {
  const json* value = find(object, key);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : fallback;
}

// The parts of a "Sequence" by their `list` key, the object itself where it is none, nothing for null.
std::vector<const json*> parts_of(const json* object, const char* list) {
  std::vector<const json*> parts;
  if (object == nullptr) return parts;
  const json* inner = text_of(*object, "type") == "Sequence" ? find(*object, list) : nullptr;
  if (inner == nullptr || !inner->is_array()) return {object};
  for (const json& part : *inner) parts.push_back(&part);
  return parts;
}

std::string shortened(const json& value) {
  return clean_text(value.dump(-1, ' ', false, json::error_handler_t::replace));
}

std::optional<int64_t> id_of(const json& value) {
  const auto id = json_integer(value);
  return id && *id >= 0 ? id : std::nullopt;
}

class Reader {
 public:
  absl::StatusOr<TokenizerFiles> read(const json& tokenizer, const json& config) {
    const json* model = find(tokenizer, "model");
    if (model == nullptr || !model->is_object()) return wrong("model is missing or no object");
    if (auto status = read_model_kind(*model); !status.ok()) return status;
    if (auto status = read_pieces(*model, find(tokenizer, "added_tokens")); !status.ok()) return status;
    if (auto status = read_merges(*model); !status.ok()) return status;
    if (auto status = read_cutting(tokenizer); !status.ok()) return status;
    read_types();
    if (auto status = read_ids(*model, tokenizer, config); !status.ok()) return status;
    read_chat_template(config);
    return std::move(files_);
  }

 private:
  absl::Status read_model_kind(const json& model) {
    const std::string type = text_of(model, "type");
    if (!type.empty() && type != "BPE") {
      return unknown_kind(absl::StrFormat("model.type is %s; only \"BPE\" is known", shortened(model["type"])));
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      if (!text_of(model, key).empty()) return unknown_kind(absl::StrFormat("model.%s is not supported", key));
    }
    v_.byte_fallback = flag_of(model, "byte_fallback");
    v_.ignore_merges = flag_of(model, "ignore_merges");
    return absl::OkStatus();
  }

  absl::Status read_pieces(const json& model, const json* added) {
    const json* vocab = find(model, "vocab");
    if (vocab == nullptr || !vocab->is_object()) return wrong("model.vocab is missing or no object");
    if (added != nullptr && !added->is_array()) return wrong("added_tokens is no array");
    const auto limit = static_cast<int64_t>(vocab->size() + (added ? added->size() : 0)) + kMaxGaps;
    for (const auto& [piece, value] : vocab->items()) {
      const auto id = id_of(value);
      if (!id || *id >= limit) {
        return wrong(absl::StrFormat("model.vocab[%s]: %s is no id from 0 to %d", quoted_piece(piece), shortened(value),
                                     limit - 1));
      }
      if (auto status = set_piece(*id, piece); !status.ok()) return status;
    }
    if (added == nullptr) return absl::OkStatus();
    for (const json& token : *added) {
      if (auto status = read_added(token, limit); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status set_piece(int64_t id, const std::string& piece) {
    if (id >= static_cast<int64_t>(v_.pieces.size())) v_.pieces.resize(id + 1);
    std::string& place = v_.pieces[id];
    if (!place.empty() && place != piece) {
      return wrong(absl::StrFormat("id %d belongs to %s and to %s", id, quoted_piece(place), quoted_piece(piece)));
    }
    place = piece;
    return absl::OkStatus();
  }

  absl::Status read_added(const json& token, int64_t limit) {
    const std::string content = text_of(token, "content");
    const json* value = find(token, "id");
    const auto id = value ? id_of(*value) : std::nullopt;
    if (content.empty() || !id || *id >= limit) {
      return wrong(
          absl::StrFormat("added_tokens: %s needs a content and an id from 0 to %d", shortened(token), limit - 1));
    }
    if (auto status = set_piece(*id, content); !status.ok()) return status;
    Vocabulary::AddedToken result{content, static_cast<TokenId>(*id), flag_of(token, "special")};
    result.lstrip = flag_of(token, "lstrip");
    result.rstrip = flag_of(token, "rstrip");
    result.single_word = flag_of(token, "single_word");
    result.normalized = flag_of(token, "normalized");
    v_.added.push_back(std::move(result));
    return absl::OkStatus();
  }

  // The space between the two pieces of a merge. Where pieces have spaces of their own, the vocabulary tells.
  static size_t cut_of(const std::string& pair, const json& vocab) {
    const size_t first = pair.find(' '), last = pair.rfind(' ');
    if (first == last) return first == 0 || first + 1 == pair.size() ? std::string::npos : first;
    if (pair.size() > 256) return std::string::npos;
    for (size_t cut = first; cut <= last; cut = pair.find(' ', cut + 1)) {
      const std::string left = pair.substr(0, cut), right = pair.substr(cut + 1);
      if (vocab.contains(left) && vocab.contains(right) && vocab.contains(left + right)) return cut;
    }
    return std::string::npos;
  }

  absl::Status read_merges(const json& model) {
    const json* merges = find(model, "merges");
    if (merges == nullptr || !merges->is_array()) return wrong("model.merges is missing or no array");
    for (const json& merge : *merges) {
      if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        v_.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
        continue;
      }
      const std::string pair = merge.is_string() ? merge.get<std::string>() : std::string();
      const size_t space = cut_of(pair, model["vocab"]);
      if (space == std::string::npos) {
        return wrong(absl::StrFormat("model.merges[%d]: %s is no pair of pieces", v_.merges.size(), shortened(merge)));
      }
      v_.merges.emplace_back(pair.substr(0, space), pair.substr(space + 1));
    }
    return absl::OkStatus();
  }

  // How text is brought to words: normalizer and pre_tokenizer.
  absl::Status read_cutting(const json& tokenizer) {
    const auto pre = parts_of(find(tokenizer, "pre_tokenizer"), "pretokenizers");
    const bool byte_level =
        std::any_of(pre.begin(), pre.end(), [](const json* p) { return text_of(*p, "type") == "ByteLevel"; });
    v_.kind = byte_level ? Kind::kByteLevelBpe : Kind::kSentencePieceBpe;
    bool marks_spaces = false;
    for (const json* part : parts_of(find(tokenizer, "normalizer"), "normalizers")) {
      const std::string type = text_of(*part, "type");
      const json* pattern = find(*part, "pattern");
      if (byte_level && type == "NFC") {
        v_.nfc_normalize = true;
      } else if (!byte_level && type == "Prepend" && text_of(*part, "prepend") == kSpaceMark) {
        v_.add_space_prefix = true;
      } else if (!byte_level && type == "Replace" && pattern != nullptr && text_of(*pattern, "String") == " " &&
                 text_of(*part, "content") == kSpaceMark) {
        marks_spaces = true;
      } else {
        return unknown_kind(absl::StrFormat("the normalizer %s is unknown", shortened(*part)));
      }
    }
    if (byte_level) return read_words(pre);
    for (const json* part : pre) {
      if (auto status = read_metaspace(*part); !status.ok()) return status;
      marks_spaces = true;
    }
    if (!marks_spaces) return unknown_kind("neither a byte-level nor a SentencePiece tokenizer");
    return absl::OkStatus();
  }

  // The regular expression of a Split whose matches are words; of those that we know one matches everywhere, so that
  // nothing stands between them to be removed. Empty for anything else.
  static std::string pattern_of_words(const json& part) {
    const json* pattern = find(part, "pattern");
    const std::string behavior = text_of(part, "behavior");
    const bool inverted = flag_of(part, "invert");
    const bool words = (behavior == "Isolated" && !inverted) || (behavior == "Removed" && inverted);
    if (text_of(part, "type") != "Split" || !words || pattern == nullptr) return {};
    const std::string regex = text_of(*pattern, "Regex");
    return inverted && regex == "\\p{N}" ? std::string() : regex;
  }

  absl::Status read_words(const std::vector<const json*>& parts) {
    const json& last = *parts.back();
    if (text_of(last, "type") != "ByteLevel" || flag_of(last, "add_prefix_space")) {
      return unknown_kind("the pre_tokenizer must end with ByteLevel, without add_prefix_space");
    }
    const bool own_pattern = flag_of(last, "use_regex", true);
    if (parts.size() == 1 && own_pattern) {
      v_.pre_tokenizer = "gpt2";
      return absl::OkStatus();
    }
    const json& first = *parts.front();
    const std::string type = text_of(first, "type"), pattern = pattern_of_words(first);
    const bool digits_alone = (type == "Digits" && flag_of(first, "individual_digits")) || pattern == "\\p{N}";
    if (parts.size() == 2 && own_pattern && digits_alone) {
      v_.pre_tokenizer = "smollm";
    } else if (parts.size() == 2 && !own_pattern && !pattern.empty()) {
      v_.pre_tokenizer = pre_tokenizer_of_pattern(pattern);
    } else {
      json all = json::array();
      for (const json* part : parts) all.push_back(*part);
      v_.pre_tokenizer = shortened(all);
    }
    return absl::OkStatus();
  }

  absl::Status read_metaspace(const json& part) {
    const std::string scheme = text_of(part, "prepend_scheme");
    const bool known_scheme = scheme.empty() || scheme == "always" || scheme == "first" || scheme == "never";
    if (text_of(part, "type") != "Metaspace" || text_of(part, "replacement") != kSpaceMark ||
        flag_of(part, "split", true) || !known_scheme) {
      return unknown_kind(absl::StrFormat("the pre_tokenizer %s is unknown", shortened(part)));
    }
    v_.add_space_prefix = scheme.empty() ? flag_of(part, "add_prefix_space", true) : scheme != "never";
    v_.space_prefix_first_only = scheme == "first";
    v_.space_prefix_if_missing = true;
    return absl::OkStatus();
  }

  void read_types() {
    v_.types.assign(v_.pieces.size(), PieceType::kNormal);
    for (size_t id = 0; id < v_.pieces.size(); ++id) {
      if (v_.pieces[id].empty()) v_.types[id] = PieceType::kUnused;
      if (v_.byte_fallback && byte_of_piece(v_.pieces[id])) v_.types[id] = PieceType::kByte;
    }
    for (const auto& token : v_.added) {
      v_.types[token.id] = token.special ? PieceType::kControl : PieceType::kUserDefined;
    }
  }

  std::optional<TokenId> id_of_piece(const json& model, const std::string& piece) const {
    if (piece.empty()) return std::nullopt;
    const auto same = [&](const auto& token) { return token.content == piece; };
    const auto added = std::find_if(v_.added.begin(), v_.added.end(), same);
    if (added != v_.added.end()) return added->id;
    const auto it = model["vocab"].find(piece);
    return it == model["vocab"].end() ? std::nullopt : std::optional<TokenId>(static_cast<TokenId>(*id_of(*it)));
  }

  absl::Status read_ids(const json& model, const json& tokenizer, const json& config) {
    v_.unknown = id_of_piece(model, text_of(model, "unk_token"));
    if (v_.unknown) v_.types[*v_.unknown] = PieceType::kUnknown;
    const std::string begins_with = first_special(find(tokenizer, "post_processor"));
    v_.bos = id_of_piece(model, begins_with);
    v_.add_bos = v_.bos.has_value();
    std::optional<TokenId> eos;
    for (const auto& [key, id] : {std::pair{"bos_token", &v_.bos}, {"eos_token", &eos}, {"pad_token", &v_.pad}}) {
      const json* value = find(config, key);
      if (value == nullptr) continue;
      const std::string content = value->is_string() ? value->get<std::string>() : text_of(*value, "content");
      *id = id_of_piece(model, content);
      if (!*id && id != &v_.pad) {
        return absl::InvalidArgumentError(absl::StrFormat(
            "tokenizer_config.json: %s is %s, which tokenizer.json does not have", key, quoted_piece(content)));
      }
    }
    if (eos) v_.eos.push_back(*eos);
    v_.add_bos = flag_of(config, "add_bos_token", v_.add_bos);
    return absl::OkStatus();
  }

  // What the post-processor puts before a single text, if it does.
  static std::string first_special(const json* processor) {
    for (const json* part : parts_of(processor, "processors")) {
      const json* single = find(*part, "single");
      if (single == nullptr || !single->is_array() || single->empty()) continue;
      const json* special = find((*single)[0], "SpecialToken");
      if (special != nullptr) return text_of(*special, "id");
    }
    return {};
  }

  // One template, or several with names, of which the one called "default" counts.
  void read_chat_template(const json& config) {
    files_.chat_template = text_of(config, "chat_template");
    const json* several = find(config, "chat_template");
    if (several == nullptr || !several->is_array()) return;
    for (const json& one : *several) {
      if (text_of(one, "name") == "default") files_.chat_template = text_of(one, "template");
    }
  }

  TokenizerFiles files_;
  Vocabulary& v_ = files_.vocabulary;
};

}  // namespace

absl::StatusOr<TokenizerFiles> read_tokenizer_json(std::string_view tokenizer_json, std::string_view tokenizer_config) {
  const auto tokenizer = parse_json_object(tokenizer_json, "tokenizer.json", RepeatedKey::kLastCounts);
  if (!tokenizer.ok()) return tokenizer.status();
  if (tokenizer_config.empty()) return Reader().read(*tokenizer, json::object());
  const auto config = parse_json_object(tokenizer_config, "tokenizer_config.json", RepeatedKey::kLastCounts);
  if (!config.ok()) return config.status();
  return Reader().read(*tokenizer, *config);
}

}  // namespace halftone
