#include "tests/kernels/cuda/primitives/golden.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <sstream>

namespace halftone::test {
namespace {

constexpr size_t kMostWords = 256;  // of a golden, where it may keep digests
constexpr size_t kWordsInLine = 12;

std::string hex(uint32_t word) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", word);
  return text;
}

std::optional<uint32_t> from_hex(const std::string& text) {
  uint32_t word = 0;
  const char* end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(text.data(), end, word, 16);
  if (error != std::errc() || parsed != end || text.size() != 8) return std::nullopt;
  return word;
}

testing::AssertionResult same_words(const Words& got, const Words& expected) {
  size_t different = 0, first = 0;
  for (size_t i = got.size(); i-- > 0;) {
    if (got[i] == expected[i]) continue;
    ++different;
    first = i;
  }
  if (different == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << different << " of " << got.size() << " words differ, first at " << first << ": "
                                     << hex(got[first]) << " for " << hex(expected[first]);
}

testing::AssertionResult within_bounds(const Words& got, const Words& expected, const std::vector<double>& bounds) {
  size_t beyond = 0, worst = 0;
  double most = 1;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference =
        std::fabs(static_cast<double>(std::bit_cast<float>(got[i])) - std::bit_cast<float>(expected[i]));
    if (difference <= bounds[i]) continue;  // never, where one of them is a NaN
    ++beyond;
    if (beyond == 1 || difference / bounds[i] > most) {
      worst = i;
      most = difference / bounds[i];
    }
  }
  if (beyond == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << beyond << " of " << got.size() << " sums are too far apart, at " << worst
                                     << " by " << most << " times the bound: " << std::bit_cast<float>(got[worst])
                                     << " for " << std::bit_cast<float>(expected[worst]);
}

}  // namespace

uint32_t digest(const Words& words) {
  uint32_t hash = 0;
  for (uint32_t word : words) {  // as MurmurHash3 mixes its blocks
    hash ^= std::rotl(word * 0xcc9e2d51u, 15) * 0x1b873593u;
    hash = std::rotl(hash, 13) * 5 + 0xe6546b64u;
  }
  return hash;
}

Words kept_words(const Probe& probe, const Words& words) {
  size_t together = 1;
  if (probe.bounds.empty()) {
    while (words.size() / together > kMostWords) together *= 2;
  }
  if (together == 1) return words;
  Words kept;
  for (size_t i = 0; i < words.size(); i += together) {
    const size_t end = std::min(words.size(), i + together);
    kept.push_back(
        digest({words.begin() + static_cast<std::ptrdiff_t>(i), words.begin() + static_cast<std::ptrdiff_t>(end)}));
  }
  return kept;
}

testing::AssertionResult agree(const Probe& probe, const Words& got, const Words& expected) {
  if (got.size() != expected.size()) {
    return testing::AssertionFailure() << got.size() << " words for " << expected.size();
  }
  if (probe.bounds.empty()) return same_words(got, expected);
  if (probe.bounds.size() != got.size()) {
    return testing::AssertionFailure() << probe.bounds.size() << " bounds for " << got.size() << " words";
  }
  return within_bounds(got, expected, probe.bounds);
}

testing::AssertionResult agree_with_kept(const Probe& probe, const Words& got, const Words& kept) {
  const Words mine = kept_words(probe, got);
  const testing::AssertionResult agreement = agree(probe, mine, kept);
  if (agreement || mine.size() == got.size()) return agreement;
  return testing::AssertionFailure() << agreement.message() << " (each the digest of "
                                     << (got.size() + mine.size() - 1) / mine.size() << ")";
}

std::string golden_text(const Probe& probe, const Words& words, const std::string& from) {
  std::string text = "# " + from + ": recorded by cuda_probes_test; digest of the inputs: " + hex(digest(probe.in));
  size_t i = 0;
  for (uint32_t word : kept_words(probe, words)) text += (i++ % kWordsInLine == 0 ? "\n" : " ") + hex(word);
  return text + "\n";
}

std::optional<Golden> parse_golden(const std::string& text) {
  const size_t end = text.find('\n'), last = text.rfind(' ', end);
  if (!text.starts_with("# ") || end == std::string::npos) return std::nullopt;
  const std::optional<uint32_t> inputs = from_hex(text.substr(last + 1, end - last - 1));
  if (!inputs) return std::nullopt;
  Golden golden{*inputs, {}};
  std::istringstream words(text.substr(end));
  for (std::string word; words >> word;) {
    const std::optional<uint32_t> parsed = from_hex(word);
    if (!parsed) return std::nullopt;
    golden.kept.push_back(*parsed);
  }
  return golden;
}

}  // namespace halftone::test
