#include "tests/support/checkpoint_golden.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "kernels/contract/check.h"

namespace halftone {
namespace {

const char* const kGoldenDirectory = HALFTONE_TEST_DATA "/golden";

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  HALFTONE_CHECK(file.good());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

std::vector<std::string> all_golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kGoldenDirectory)) {
    if (std::filesystem::exists(entry.path() / "golden.json")) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  HALFTONE_CHECK(!names.empty());
  return names;
}

Golden read_golden(const std::string& name) {
  Golden golden;
  golden.name = name;
  golden.directory = std::string(kGoldenDirectory) + "/" + name;
  const nlohmann::json about = nlohmann::json::parse(read_file(golden.directory + "/golden.json"));
  golden.prompt = about.at("prompt").get<std::vector<int32_t>>();
  golden.rows = about.at("rows").get<int64_t>();
  golden.cols = about.at("cols").get<int64_t>();
  golden.range = about.at("logit_range").get<double>();
  const std::string raw = read_file(golden.directory + "/logits.f32");
  golden.logits.resize(static_cast<size_t>(golden.rows * golden.cols));
  HALFTONE_CHECK(raw.size() == golden.logits.size() * sizeof(float));
  std::memcpy(golden.logits.data(), raw.data(), raw.size());
  HALFTONE_CHECK(static_cast<int64_t>(golden.prompt.size()) == golden.rows);
  return golden;
}

}  // namespace halftone
