// Answers of several modes to one prompt, side by side. Plain values.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "halftone/v1/inference.pb.h"

namespace halftone {

struct ModeAnswer {
  v1::Mode mode;
  std::string text;
  std::vector<v1::TokenInfo> tokens;
  v1::Finish::Reason reason = v1::Finish::REASON_UNSPECIFIED;
  v1::Receipt receipt;

  void add(const v1::GenerateResponse& message);
};

// The first place where the tokens are not the same; one answer may end there. Nothing: they are equal.
std::optional<size_t> first_difference(const ModeAnswer& a, const ModeAnswer& b);

// "the same 12 tokens as bf16", "token 4 is " Lyon" where bf16 has " Paris"".
std::string difference_line(const ModeAnswer& first, const ModeAnswer& other);
// A row for each answer. None is empty.
std::string comparison_table(absl::Span<const ModeAnswer> answers);
// Times in seconds, sizes in bytes; what is not UTF-8 in a text or piece is U+FFFD.
std::string comparison_json(const std::string& prompt, absl::Span<const ModeAnswer> answers);

}  // namespace halftone
