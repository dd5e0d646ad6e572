#include "server/model/decoder.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/model/families/families.h"
#include "server/source/message.h"

namespace halftone {
namespace {

const Family* find_family(std::string_view architecture) {
  for (const Family* family : all_families()) {
    if (family->architecture == architecture) return family;
  }
  return nullptr;
}

absl::Status check_tensor(const ModelSource& source, const std::string& name, int64_t rows, int64_t cols) {
  const SourceTensor* tensor = source.find(name);
  if (tensor == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("tensor ", name, " is missing; expected [", rows, ", ", cols, "]"));
  }
  if (tensor->rows() != rows || tensor->cols() != cols) {
    return absl::InvalidArgumentError(absl::StrCat("tensor ", name, " is [", tensor->rows(), ", ", tensor->cols(),
                                                   "]; expected [", rows, ", ", cols, "]"));
  }
  return absl::OkStatus();
}

struct Expected {
  std::string name;
  int64_t rows, cols;
};

std::vector<Expected> expected_tensors(const Decoder& decoder) {
  const ModelConfig& c = decoder.config;
  int64_t q = c.heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  std::vector<Expected> all = {{"embedding", c.vocabulary, c.dim}, {"final_norm", 1, c.dim}};
  if (!c.tied_head) all.push_back({"head", c.vocabulary, c.dim});
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    std::string at = absl::StrCat("layers.", layer, ".");
    std::vector<Expected> of_layer = {{"attention_norm", 1, c.dim},
                                      {"q", q, c.dim},
                                      {"k", kv, c.dim},
                                      {"v", kv, c.dim},
                                      {"o", c.dim, q},
                                      {"mlp_norm", 1, c.dim},
                                      {"gate", c.ffn, c.dim},
                                      {"up", c.ffn, c.dim},
                                      {"down", c.dim, c.ffn}};
    if (decoder.qkv_bias) of_layer.insert(of_layer.end(), {{"q_bias", 1, q}, {"k_bias", 1, kv}, {"v_bias", 1, kv}});
    if (decoder.o_bias) of_layer.push_back({"o_bias", 1, c.dim});
    if (decoder.qk_norm) of_layer.insert(of_layer.end(), {{"q_norm", 1, c.head_dim}, {"k_norm", 1, c.head_dim}});
    for (Expected& e : of_layer) all.push_back({at + e.name, e.rows, e.cols});
  }
  return all;
}

// Some layer has one of the tensors. Where one has it, expected_tensors() asks for all of them.
bool has_part(const ModelSource& source, const std::vector<std::string>& names) {
  return std::ranges::any_of(source.tensors, [&](const auto& tensor) {
    const size_t dot = tensor.first.rfind('.');
    return dot != std::string::npos && std::ranges::find(names, tensor.first.substr(dot + 1)) != names.end();
  });
}

bool uses(Part part, const ModelSource& source, const std::vector<std::string>& names) {
  return part == Part::kMust || (part == Part::kMay && has_part(source, names));
}

// What nobody would read may change the answers: it is refused.
absl::Status check_nothing_unused(const ModelSource& source, const std::vector<Expected>& expected) {
  std::set<std::string> used = {"rope_factors"};
  for (const Expected& e : expected) used.insert(e.name);
  constexpr size_t kMostNamed = 4;
  std::vector<std::string> unused;
  size_t count = 0;
  for (const auto& [name, tensor] : source.tensors) {
    if (used.contains(name)) continue;
    if (++count <= kMostNamed) unused.push_back(shown(tensor->name()));
  }
  if (count == 0) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat(count == 1 ? "tensor " : "tensors ", absl::StrJoin(unused, ", "),
                   count > kMostNamed ? absl::StrCat(" and ", count - kMostNamed, " more") : "",
                   count == 1 ? " is" : " are", " not used by models of architecture ", source.config.architecture,
                   "; without ", count == 1 ? "it" : "them", " the answers would be others"));
}

absl::Status check_config(const ModelConfig& c) {
  bool sizes =
      c.layers > 0 && c.dim > 0 && c.heads > 0 && c.kv_heads > 0 && c.head_dim > 0 && c.ffn > 0 && c.vocabulary > 0;
  if (!sizes || c.context <= 0)
    return absl::InvalidArgumentError("the checkpoint gives no layers, sizes or context length");
  if (c.heads % c.kv_heads != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(c.heads, " heads are no multiple of ", c.kv_heads, " key-value heads"));
  }
  if (c.head_dim % 2 != 0 || c.head_dim > 256) {
    return absl::InvalidArgumentError(absl::StrCat("head size ", c.head_dim, " is not an even number up to 256"));
  }
  if (c.heads / c.kv_heads > 64) return absl::InvalidArgumentError("more than 64 heads share a key-value head");
  return absl::OkStatus();
}

}  // namespace

std::span<const Family* const> all_families() {
  static const Family* const kFamilies[] = {&llama_family(), &mistral_family(), &qwen2_family(), &qwen3_family()};
  return kFamilies;
}

absl::StatusOr<Decoder> describe_decoder(const ModelSource& source) {
  const Family* family = find_family(source.config.architecture);
  if (family == nullptr) {
    std::vector<std::string> known;
    for (const Family* f : all_families())
      known.push_back(absl::StrCat(std::string(f->architecture), " (", std::string(f->models), ")"));
    return absl::UnimplementedError(absl::StrCat("architecture \"", shown(source.config.architecture),
                                                 "\" is not known; known ones: ", absl::StrJoin(known, ", ")));
  }
  Decoder decoder{source.config, uses(family->qkv_bias, source, {"q_bias", "k_bias", "v_bias"}),
                  uses(family->o_bias, source, {"o_bias"}), uses(family->qk_norm, source, {"q_norm", "k_norm"})};
  if (!family->sliding_window) decoder.config.sliding_window = 0;
  absl::Status status = check_config(decoder.config);
  if (!status.ok()) return status;
  const std::vector<Expected> expected = expected_tensors(decoder);
  for (const Expected& e : expected) {
    status = check_tensor(source, e.name, e.rows, e.cols);
    if (!status.ok()) return status;
  }
  status = check_nothing_unused(source, expected);
  if (!status.ok()) return status;
  return decoder;
}

}  // namespace halftone
