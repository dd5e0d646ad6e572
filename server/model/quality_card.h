// What somebody measured of one mode's quality: a JSON object in a file of its own, written by `halftone-lab evaluate`
// and shown by the server beside the mode. Written and read here, so that both sides mean the same.
//
// A card speaks of a mode only where mode and weights_digest both agree: other weights, other numbers. Numbers that are
// not finite (a mode that is broken) are null in the file and NaN here. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/model/recipe.h"

namespace halftone {

struct QualityCard {
  std::string mode;              // its id: "w4a8+kv8", "recipe:mixed"
  std::string weights_digest;    // weights_digest() below
  std::string source_digest;     // of the checkpoint
  std::string source_format;     // "gguf/Q4_1"
  std::string import;            // "exact": the source's own values; "requantized"
  std::string reference;         // the mode that it is compared with: "f32"
  std::string text_name;         // of the text; in the file "text": {"name", "sha256"}
  std::string text_sha256;       // of all token ids that were used, as little-endian int32
  std::string protocol;          // "windows", "llamacpp512", "gptq2048"
  int64_t windows = 0;           // that were run
  int64_t window_tokens = 0;     // in each
  int64_t scored_positions = 0;  // in all of them together
  std::string bos;               // the rule, in words
  double perplexity = 0;         // per token
  double perplexity_standard_error = 0;
  double reference_perplexity = 0;  // on the same positions
  double kl_mean = 0;               // KL(reference || mode) in nats, per position
  double kl_standard_error = 0;     // of the mean
  double kl_median = 0, kl_p99 = 0, kl_max = 0;
  double top1 = 0;      // share of positions with the reference's most probable token
  std::string label;    // what has to be known to read the numbers; empty: nothing
  std::string machine;  // "AMD EPYC 9V74 (avx2)"
  std::string commit;   // of the code; where nobody named one, its release: "halftone 0.1.0"
};

// Says which weights a mode holds: of which checkpoint, by which recipe, and packed by which rule of each format
// (WeightFormat::packing) that counts its rules: "sha256:.../embedding,head=w8;attention,mlp=w4/w4:1,w8:1".
std::string weights_digest(std::string_view source_digest, const Recipe& recipe);
// "w4a8+kv8.json", "recipe_mixed.json".
std::string quality_card_file_name(std::string_view mode);

std::string quality_card_json(const QualityCard& card);
// INVALID_ARGUMENT names the file and the key. Unknown keys are left to newer readers.
absl::StatusOr<QualityCard> parse_quality_card(std::string_view json, const std::string& file);
// The same of a file. NOT_FOUND: there is none.
absl::StatusOr<QualityCard> read_quality_card(const std::string& path);

// Replaces the mode's file in a directory that exists. UNAVAILABLE: it can't be written.
absl::Status write_quality_card(const QualityCard& card, const std::string& directory);
// The mode's card in a directory; nothing where there is none, or one of other weights. INVALID_ARGUMENT: a damaged
// one.
absl::StatusOr<std::optional<QualityCard>> find_quality_card(const std::string& directory, const std::string& mode,
                                                             const std::string& weights_digest);

}  // namespace halftone
