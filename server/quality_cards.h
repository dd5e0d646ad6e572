// The quality cards that the server was given, matched with the modes that it serves. Called once, at start.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "server/executor/executor.h"
#include "server/model/quality_card.h"

namespace halftone {

struct QualityCards {
  std::vector<std::optional<QualityCard>> by_mode;  // as many as modes
  std::vector<std::string> ignored;                 // for each file that is of no use one line: which, and why
};

// Reads every *.json file of the directory, in the order of their names. Whatever is wrong with one of them, or with
// the directory, is a line in `ignored` and nothing else: a server runs without cards too.
QualityCards read_quality_cards(const std::string& directory, std::span<const ModeFacts> modes);

}  // namespace halftone
