// What a GPU made of a probe, kept as a text file: a line that says where it is from, then words in hexadecimal. Of
// long results the file keeps digests.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "tests/kernels/cuda/primitives/probe_list.h"

namespace halftone::test {

// One word that any change of those words changes, but for one in 2^32.
uint32_t digest(const Words& words);

// As a golden keeps them: themselves, or a digest of each few of them. Words with bounds are always themselves.
Words kept_words(const Probe& probe, const Words& words);

// Whether two devices agree about a probe, to the bit or within its bounds.
testing::AssertionResult agree(const Probe& probe, const Words& got, const Words& expected);
// The same, with what a golden keeps.
testing::AssertionResult agree_with_kept(const Probe& probe, const Words& got, const Words& kept);

struct Golden {
  uint32_t inputs = 0;  // digest of what the probe was given
  Words kept;
};

// As a file's text. from: the GPU and the date
std::string golden_text(const Probe& probe, const Words& words, const std::string& from);
std::optional<Golden> parse_golden(const std::string& text);

}  // namespace halftone::test
