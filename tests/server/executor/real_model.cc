#include "tests/server/executor/real_model.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "kernels/cpu/cpu_device.h"

namespace halftone {
namespace {

const std::string kShared = HALFTONE_SHARED_DATA;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

std::string default_model_path() {
  std::string cache = environment("HALFTONE_CACHE");
  if (cache.empty()) {
    const std::string base = environment("XDG_CACHE_HOME");
    cache = (base.empty() ? environment("HOME") + "/.cache" : base) + "/halftone";
  }
  return cache + "/SmolLM2-135M-Instruct.Q4_1.gguf";
}

std::string wiki_valid_path() { return kShared + "/text/wikitext-2-raw/wiki.valid.raw"; }

std::string why_not_real(bool slow) {
  if (!std::filesystem::exists(default_model_path())) {
    return default_model_path() + " is not there: run tools/fetch_model";
  }
  for (const std::string& path : {kShared + "/models/smollm2/golden_f32.json", wiki_valid_path()}) {
    if (!std::filesystem::exists(path)) return path + " is not there: it belongs to the shared test data";
  }
  if (slow && HALFTONE_SANITIZED) return "135 million weights take minutes under a sanitizer: run the release build";
  if (slow && cpu_isas()[0] == CpuIsa::kEmulated) return "135 million weights take minutes without vector instructions";
  return "";
}

nlohmann::json about_default_model(const std::string& file) {
  std::ifstream stream(kShared + "/models/smollm2/" + file);
  return nlohmann::json::parse(stream);
}

}  // namespace halftone
