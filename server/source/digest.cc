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

std::string rope_text(const RopeSpec& rope) {
  const RopeScaling& scaling = rope.scaling;
  return message(rope.theta, " ", static_cast<int>(scaling.kind), " ", scaling.factor, " ",
                 scaling.low_frequency_factor, " ", scaling.high_frequency_factor, " ", scaling.original_context);
}

std::string layer_text(const LayerSpec& layer) {
  return message(layer.heads, " ", layer.kv_heads, " ", layer.head_dim, " ", layer.ffn);
}

// What distinguishes a layer beyond layer_text(), its window and its tensors; empty for what most layers are.
std::string more_text(const LayerSpec& layer) {
  std::string text;
  if (layer.rope != 0) text += message(" rope ", layer.rope);
  if (layer.score_scale != usual_score_scale(layer.head_dim)) text += message(" scale ", layer.score_scale);
  if (layer.score_cap != 0) text += message(" cap ", layer.score_cap);
  if (layer.experts.count > 0) {
    text += message(" experts ", layer.experts.count, " ", layer.experts.chosen, " ", layer.experts.ffn, " ",
                    layer.experts.normalized);
  }
  return text;
}

// A model of equal layers is told by its first layer alone.
std::string spec_text(const ModelSpec& spec) {
  const LayerSpec first = spec.layers.empty() ? LayerSpec{} : spec.layers.front();
  const RopeSpec rope = spec.ropes.empty() ? RopeSpec{} : spec.ropes.front();
  std::string text =
      message(spec.family, "\n", spec.layers.size(), " ", spec.dim, " ", layer_text(first), " ", spec.vocabulary, "\n",
              spec.rms_epsilon, " ", rope_text(rope), "\n", first.window, " ", spec.tied_head, "\n");
  if (spec.logit_cap != 0) text += message("logit cap ", spec.logit_cap, "\n");
  if (spec.embedding_scale != 1) text += message("embedding scale ", spec.embedding_scale, "\n");
  for (size_t i = 1; i < spec.ropes.size(); ++i) text += message("rope ", i, ": ", rope_text(spec.ropes[i]), "\n");
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    const LayerSpec& layer = spec.layers[i];
    if (layer == first && more_text(layer).empty()) continue;
    text += message("layer ", i, ": ", layer_text(layer), " ", layer.window, more_text(layer), "\n");
  }
  return text;
}

}  // namespace

std::string source_digest(const ModelSpec& spec, const std::map<std::string, TensorPlace, std::less<>>& tensors) {
  Sha256 sha;
  sha.add(spec_text(spec));
  uint64_t total = 0;
  for (const auto& [name, place] : tensors) total += place.bytes.size();
  for (const auto& [name, place] : tensors) {
    sha.add(message(name, " ", place.format->name, " ", place.rows, " ", place.cols, " ", place.interleaved_head,
                    place.added != 0 ? message(" + ", place.added) : "", "\n"));
    if (total <= kWholeUpTo) {
      sha.add(place.bytes);
    } else {
      add_samples(sha, place.bytes);
    }
  }
  return message("sha256:", sha.hex());
}

}  // namespace halftone
