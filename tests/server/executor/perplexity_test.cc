// Perplexity of the default model on the first 4 x 1024 tokens of wiki.valid.
#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>

#include "kernels/cpu/cpu_device.h"
#include "server/text/tokenizer.h"
#include "tests/server/executor/executor_rig.h"
#include "tests/server/executor/real_model.h"

namespace halftone {
namespace {

constexpr size_t kWindow = 1024, kStep = 512;

std::string hex_digest(std::span<const int32_t> ids) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(ids.data()), ids.size_bytes(), digest);
  std::string text;
  for (unsigned char byte : digest) {
    text += "0123456789abcdef"[byte / 16];
    text += "0123456789abcdef"[byte % 16];
  }
  return text;
}

// The first tokens of the whole file's tokenization.
std::vector<int32_t> wiki_tokens(const ModelSource& source, size_t count) {
  std::ifstream file(wiki_valid_path(), std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::create(source.vocabulary);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  std::vector<int32_t> ids = (*tokenizer)->encode(text);
  ids.resize(std::min(ids.size(), count));
  return ids;
}

// Summed over positions 1 to 1023 of a window of its own.
double window_nll(ExecutorRig& rig, ModeIndex mode, std::span<const int32_t> window) {
  const std::vector<PageId> pages = rig.take_pages(mode, kWindow);
  double nll = 0;
  for (size_t at = 0; at < kWindow; at += kStep) {
    std::vector<LogitRow> rows;
    for (size_t i = 0; i < kStep && at + i + 1 < kWindow; ++i) {
      LogitRow row;
      row.token = static_cast<int64_t>(i);
      row.target = window[at + i + 1];
      rows.push_back(row);
    }
    const Piece piece{window.subspan(at, kStep), static_cast<int64_t>(at), pages, rows};
    for (const RowResult& row : rig.step(mode, {&piece, 1}).rows) nll -= static_cast<double>(row.logprob);
  }
  return nll;
}

TEST(Perplexity, OfEveryModeIsWhatItsNumbersGive) {
  const std::string reason = why_not_real(true);
  if (!reason.empty()) GTEST_SKIP() << reason;
  const nlohmann::json quality = about_default_model("quality.json");
  const ModelSource source = open_source(default_model_path());
  const std::vector<int32_t> ids = wiki_tokens(source, 8 * kWindow);
  ASSERT_EQ(hex_digest(ids), quality.at("token_ids_sha256_le_int32"));

  ExecutorRig rig(source, {.modes = {"bf16", "w4a16", "w4a16+kv8"},
                           .threads = cpu_threads(),
                           .max_context = kWindow,
                           .kv_bytes = 64 << 20,
                           .max_step_tokens = kStep});
  auto perplexity = [&](const std::string& mode, const std::string& variant, double tolerance) {
    double sum = 0;
    for (size_t w = 0; w < 4; ++w) {
      const double nll = window_nll(rig, rig.mode(mode), std::span(ids).subspan(w * kWindow, kWindow));
      const double expected = quality.at("variants").at(variant).at("nll_per_window")[w].get<double>();
      EXPECT_NEAR(nll / (kWindow - 1), expected, tolerance) << mode << ", window " << w;
      sum += nll;
    }
    const double value = std::exp(sum / (4 * (kWindow - 1)));
    std::printf("%s: perplexity %.4f (%s: %.4f)\n", mode.c_str(), value, variant.c_str(),
                quality.at("variants").at(variant).at("ppl").get<double>());
    return value;
  };
  const double f32 = quality.at("variants").at("f32_reference").at("ppl").get<double>();
  const double bf16 = quality.at("variants").at("bf16_weights").at("ppl").get<double>();
  const double w4 = perplexity("w4a16", "f32_reference", 1e-3);
  EXPECT_NEAR(w4, f32, 1e-3 * f32);
  EXPECT_NEAR(perplexity("bf16", "bf16_weights", 1e-3), bf16, 1e-3 * bf16);
  // Its golden has float32 scales: other roundings, a window more, a window less.
  const double kv8 = perplexity("w4a16+kv8", "kv8", 4e-3);
  EXPECT_LE(kv8, 1.002 * w4);
}

}  // namespace
}  // namespace halftone
