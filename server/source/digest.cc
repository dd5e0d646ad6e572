#include "server/source/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "absl/strings/escaping.h"

#include "kernels/contract/check.h"
#include "server/source/message.h"

namespace halftone {
namespace {

constexpr uint64_t kWholeUpTo = uint64_t{1} << 30;
constexpr uint64_t kStride = uint64_t{1} << 20;
constexpr uint64_t kSample = uint64_t{64} << 10;

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new()) {
    HALFTONE_CHECK(context_ && EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) == 1);
  }
  ~Sha256() { EVP_MD_CTX_free(context_); }
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(std::span<const uint8_t> bytes) {
    HALFTONE_CHECK(EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1);
  }
  void add(std::string_view text) { add({reinterpret_cast<const uint8_t*>(text.data()), text.size()}); }

  std::string hex() {
    std::array<char, 32> digest;
    HALFTONE_CHECK(EVP_DigestFinal_ex(context_, reinterpret_cast<unsigned char*>(digest.data()), nullptr) == 1);
    return absl::BytesToHexString({digest.data(), digest.size()});
  }

 private:
  EVP_MD_CTX* context_;
};

void add_samples(Sha256& sha, std::span<const uint8_t> bytes) {
  if (bytes.size() <= kStride) return sha.add(bytes);
  for (uint64_t begin = 0; begin < bytes.size(); begin += kStride) {
    sha.add(bytes.subspan(begin, std::min<uint64_t>(kSample, bytes.size() - begin)));
  }
  sha.add(bytes.last(kSample));
}

std::string config_text(const ModelConfig& c) {
  return message(c.architecture, "\n", c.layers, " ", c.dim, " ", c.heads, " ", c.kv_heads, " ", c.head_dim, " ", c.ffn,
                 " ", c.vocabulary, "\n", c.rms_epsilon, " ", c.rope_theta, " ", static_cast<int>(c.rope_scaling.kind),
                 " ", c.rope_scaling.factor, " ", c.rope_scaling.low_frequency_factor, " ",
                 c.rope_scaling.high_frequency_factor, " ", c.rope_scaling.original_context, "\n", c.sliding_window,
                 " ", c.tied_head, "\n");
}

}  // namespace

std::string source_digest(const ModelConfig& config, const std::map<std::string, TensorPlace, std::less<>>& tensors) {
  Sha256 sha;
  sha.add(config_text(config));
  uint64_t total = 0;
  for (const auto& [name, place] : tensors) total += place.bytes.size();
  for (const auto& [name, place] : tensors) {
    sha.add(
        message(name, " ", place.format->name, " ", place.rows, " ", place.cols, " ", place.interleaved_head, "\n"));
    if (total <= kWholeUpTo) {
      sha.add(place.bytes);
    } else {
      add_samples(sha, place.bytes);
    }
  }
  return message("sha256:", sha.hex());
}

}  // namespace halftone
