// Checks of flags by the table of ranges, for every program that parses its command line with CLI11. No state.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "server/ranges.h"

namespace halftone {

// Refuses what is no number, NaN among them, and what lies outside.
inline CLI::Validator within(const NumberRange& range) {
  return CLI::Validator(
      [range](std::string& text) -> std::string {
        double value = 0;
        if (!CLI::detail::lexical_cast(text, value)) return text + " is no number in " + range.text();
        return range.contains(value) ? "" : text + " is outside " + range.text();
      },
      "in " + range.text());
}

}  // namespace halftone
