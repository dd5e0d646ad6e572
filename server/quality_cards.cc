#include "server/quality_cards.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "server/text/clean_text.h"

namespace halftone {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<std::vector<std::string>> card_files(const std::string& directory) {
  std::error_code error;
  std::vector<std::string> files;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() == ".json") files.push_back(entry->path().string());
  }
  if (error) return absl::NotFoundError(absl::StrCat(directory, " can't be read: ", error.message()));
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

QualityCards read_quality_cards(const std::string& directory, std::span<const ModeFacts> modes) {
  QualityCards cards;
  cards.by_mode.resize(modes.size());
  const absl::StatusOr<std::vector<std::string>> files = card_files(directory);
  if (!files.ok()) {
    cards.ignored.emplace_back(files.status().message());
    return cards;
  }
  for (const std::string& path : *files) {
    absl::StatusOr<QualityCard> card = read_quality_card(path);
    if (!card.ok()) {
      cards.ignored.emplace_back(card.status().message());
      continue;
    }
    const auto mode =
        std::find_if(modes.begin(), modes.end(), [&](const ModeFacts& facts) { return facts.id == card->mode; });
    if (mode == modes.end()) {
      cards.ignored.push_back(absl::StrCat(path, ": mode is \"", shown(card->mode), "\", which is not served"));
    } else if (mode->weights_digest != card->weights_digest) {
      cards.ignored.push_back(absl::StrCat(path, ": weights_digest is \"", shown(card->weights_digest),
                                           "\", but the mode's weights are \"", mode->weights_digest, "\""));
    } else if (auto& place = cards.by_mode[static_cast<size_t>(mode - modes.begin())]; place) {
      cards.ignored.push_back(absl::StrCat(path, ": mode \"", shown(card->mode), "\" has a card already"));
    } else {
      place = *std::move(card);
    }
  }
  return cards;
}

}  // namespace halftone
