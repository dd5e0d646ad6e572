#include "server/model/quality_card.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <map>

#include "kernels/weights/weights.h"
#include "server/source/json_fields.h"
#include "server/source/mapped_file.h"
#include "server/source/message.h"

namespace halftone {
namespace {

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();
constexpr uint64_t kMaxCardBytes = 1 << 20;

struct TextField {
  const char* key;
  std::string QualityCard::*member;
};
constexpr TextField kTexts[] = {{"mode", &QualityCard::mode},
                                {"weights_digest", &QualityCard::weights_digest},
                                {"source_digest", &QualityCard::source_digest},
                                {"source_format", &QualityCard::source_format},
                                {"import", &QualityCard::import},
                                {"reference", &QualityCard::reference},
                                {"protocol", &QualityCard::protocol},
                                {"bos", &QualityCard::bos},
                                {"label", &QualityCard::label},
                                {"machine", &QualityCard::machine},
                                {"commit", &QualityCard::commit}};

struct CountField {
  const char* key;
  int64_t QualityCard::*member;
};
constexpr CountField kCounts[] = {{"windows", &QualityCard::windows},
                                  {"window_tokens", &QualityCard::window_tokens},
                                  {"scored_positions", &QualityCard::scored_positions}};

struct NumberField {
  const char* key;
  double QualityCard::*member;
};
constexpr NumberField kNumbers[] = {{"perplexity", &QualityCard::perplexity},
                                    {"perplexity_standard_error", &QualityCard::perplexity_standard_error},
                                    {"reference_perplexity", &QualityCard::reference_perplexity},
                                    {"kl_mean", &QualityCard::kl_mean},
                                    {"kl_standard_error", &QualityCard::kl_standard_error},
                                    {"kl_median", &QualityCard::kl_median},
                                    {"kl_p99", &QualityCard::kl_p99},
                                    {"kl_max", &QualityCard::kl_max},
                                    {"top1", &QualityCard::top1}};

std::string path_of(const std::string& directory, std::string_view mode) {
  return message(directory, "/", quality_card_file_name(mode));
}

absl::Status read_text_part(const nlohmann::json* text, const std::string& file, QualityCard* card) {
  if (text == nullptr || !text->is_object()) {
    return absl::InvalidArgumentError(message(file, ": text is missing or no object with name and sha256"));
  }
  JsonFields fields(*text, file, "text.");
  card->text_name = clean_text(fields.text("name"));
  card->text_sha256 = clean_text(fields.text("sha256"));
  return fields.status();
}

}  // namespace

std::string weights_digest(std::string_view source_digest, const Recipe& recipe) {
  std::map<std::string, int> packings;
  for (const RecipeRow& row : recipe.rows) {
    const WeightFormat* format = find_weight_format(row.choice.format);
    if (format != nullptr && format->packing > 0) packings[row.choice.format] = format->packing;
  }
  std::string digest = message(source_digest, "/", recipe.text());
  char before = '/';
  for (const auto& [format, packing] : packings) {
    digest += message(std::string(1, before), format, ":", packing);
    before = ',';
  }
  return digest;
}

std::string quality_card_file_name(std::string_view mode) {
  std::string name(mode);
  std::replace(name.begin(), name.end(), ':', '_');
  return name + ".json";
}

std::string quality_card_json(const QualityCard& card) {
  nlohmann::ordered_json object;
  for (const TextField& f : kTexts) object[f.key] = card.*f.member;
  object["text"] = {{"name", card.text_name}, {"sha256", card.text_sha256}};
  for (const CountField& f : kCounts) object[f.key] = card.*f.member;
  for (const NumberField& f : kNumbers) object[f.key] = card.*f.member;
  return object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

absl::StatusOr<QualityCard> parse_quality_card(std::string_view json, const std::string& file) {
  absl::StatusOr<nlohmann::json> object = parse_json_object(json, file);
  if (!object.ok()) return object.status();
  QualityCard card;
  JsonFields fields(*object, file);
  for (const TextField& f : kTexts) card.*f.member = clean_text(fields.text(f.key));
  // Compared with the mode's own, however long that is.
  card.weights_digest = fields.text("weights_digest");
  for (const CountField& f : kCounts) card.*f.member = fields.integer(f.key);
  for (const NumberField& f : kNumbers) {
    // Null is what JSON has for a number that is not finite; a key that is not there is a mistake.
    card.*f.member = fields.named(f.key) ? fields.number(f.key, kNotANumber) : fields.number(f.key);
  }
  fields.complain(read_text_part(fields.find("text"), file, &card));
  if (!fields.status().ok()) return fields.status();
  return card;
}

absl::StatusOr<QualityCard> read_quality_card(const std::string& path) {
  absl::StatusOr<std::string> text = read_small_file(path, kMaxCardBytes);
  if (!text.ok()) return text.status();
  return parse_quality_card(*text, path);
}

absl::Status write_quality_card(const QualityCard& card, const std::string& directory) {
  const std::string path = path_of(directory, card.mode);
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << quality_card_json(card);
  out.close();
  return out ? absl::OkStatus() : absl::UnavailableError(message(path, " can't be written"));
}

absl::StatusOr<std::optional<QualityCard>> find_quality_card(const std::string& directory, const std::string& mode,
                                                             const std::string& weights_digest) {
  const std::string path = path_of(directory, mode);
  absl::StatusOr<QualityCard> card = read_quality_card(path);
  if (absl::IsNotFound(card.status())) return std::optional<QualityCard>();
  if (!card.ok()) return card.status();
  if (card->mode != mode || card->weights_digest != weights_digest) return std::optional<QualityCard>();
  return std::optional<QualityCard>(*std::move(card));
}

}  // namespace halftone
