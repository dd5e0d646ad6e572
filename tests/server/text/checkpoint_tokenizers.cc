#include "tests/server/text/checkpoint_tokenizers.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "server/source/gguf_file.h"
#include "server/source/gguf_vocabulary.h"
#include "server/source/mapped_file.h"

namespace halftone {
namespace {

absl::StatusOr<TokenizerFiles> from_gguf(const std::string& path) {
  auto file = MappedFile::open(path);
  if (!file.ok()) return file.status();
  const auto gguf = parse_gguf((*file)->bytes(), path);
  if (!gguf.ok()) return gguf.status();
  return read_gguf_vocabulary(gguf->metadata);
}

}  // namespace

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  std::ostringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

std::string shared_data(const std::string& path) { return std::string(HALFTONE_SHARED_DATA) + "/" + path; }

std::string default_model_path() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (cache == nullptr && home == nullptr) return "";
  const std::string folder = cache != nullptr ? cache : std::string(home) + "/.cache";
  const std::string path = folder + "/halftone/SmolLM2-135M-Instruct.Q4_1.gguf";
  return std::ifstream(path) ? path : "";
}

std::optional<TokenizerFiles> load_files(const std::string& path) {
  absl::StatusOr<TokenizerFiles> files = absl::NotFoundError("");
  if (path.ends_with(".gguf")) {
    if (!std::ifstream(path)) return std::nullopt;
    files = from_gguf(path);
  } else {
    const auto tokenizer = read_file(path + "/tokenizer.json");
    if (!tokenizer) return std::nullopt;
    files = read_tokenizer_json(*tokenizer, read_file(path + "/tokenizer_config.json").value_or(""));
  }
  EXPECT_TRUE(files.ok()) << path << ": " << files.status();
  if (!files.ok()) return std::nullopt;
  return *std::move(files);
}

const Tokenizer* load_tokenizer(const std::string& path) {
  static std::map<std::string, std::unique_ptr<Tokenizer>> loaded;
  const auto [place, is_new] = loaded.try_emplace(path);
  if (!is_new) return place->second.get();
  auto files = load_files(path);
  if (!files) return nullptr;
  auto tokenizer = Tokenizer::create(std::move(files->vocabulary));
  EXPECT_TRUE(tokenizer.ok()) << path << ": " << tokenizer.status();
  if (tokenizer.ok()) place->second = *std::move(tokenizer);
  return place->second.get();
}

std::vector<Vector> load_vectors(const std::string& path_without_ending) {
  const auto texts = read_file(path_without_ending + ".inp"), ids = read_file(path_without_ending + ".out");
  std::vector<Vector> vectors;
  if (!texts || !ids) return vectors;
  const std::string edge = "\n__ggml_vocab_test__\n";
  std::istringstream lines(*ids);
  size_t begin = 0;
  for (std::string line; std::getline(lines, line);) {
    const size_t end = texts->find(edge, begin);
    if (end == std::string::npos) break;
    Vector vector{texts->substr(begin, end - begin), {}};
    std::istringstream numbers(line);
    for (TokenId id; numbers >> id;) vector.ids.push_back(id);
    vectors.push_back(std::move(vector));
    begin = end + edge.size();
  }
  return vectors;
}

}  // namespace halftone
