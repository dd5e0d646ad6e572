#include "server/source/generation_defaults.h"

#include <optional>

#include "server/ranges.h"
#include "server/source/json_fields.h"
#include "server/source/message.h"

namespace halftone {
namespace {

// What stands under a key: a number, or something else in words.
struct Given {
  std::optional<double> number;
  std::string otherwise;
};

class Recommendations {
 public:
  Recommendations(const std::string& file, std::vector<std::string>& warnings) : file_(file), warnings_(warnings) {}

  // A request has it as a float: that is what must be in range.
  void set(std::string_view key, const Given& given, const NumberRange& range, std::optional<float>& into) {
    if (!given.number) return ignore(key, given.otherwise, "expected a number");
    const float value = static_cast<float>(*given.number);
    if (!range.contains(value)) return ignore(key, number_text(*given.number), "outside " + range.text());
    into = value;
  }

  void set_count(std::string_view key, const Given& given, std::optional<int64_t>& into) {
    if (!given.number) return ignore(key, given.otherwise, "expected an integer");
    const double value = *given.number;
    if (value == -1) {  // as some write "all of them"
      into = 0;
    } else if (!ranges::kTopK.contains(value)) {
      ignore(key, number_text(value), "outside " + ranges::kTopK.text());
    } else if (static_cast<double>(static_cast<int64_t>(value)) != value) {
      ignore(key, number_text(value), "expected an integer");
    } else {
      into = static_cast<int64_t>(value);
    }
  }

  void ignore(std::string_view key, std::string_view value, std::string_view why) {
    warnings_.push_back(message(file_, ": ", key, " = ", value, ", ", why, ": ignored"));
  }

 private:
  const std::string& file_;
  std::vector<std::string>& warnings_;
};

Given given(const nlohmann::json& value) {
  if (value.is_number()) return {value.get<double>(), ""};
  return {std::nullopt, shown(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))};
}

}  // namespace

GenerationDefaults gguf_generation(const GgufMetadata& metadata, const std::string& file,
                                   std::vector<std::string>& warnings) {
  GenerationDefaults found;
  Recommendations recommended(file, warnings);
  auto value = [&](std::string_view key) { return Given{metadata.number(key), "something else"}; };
  auto set = [&](std::string_view key, const NumberRange& range, std::optional<float>& into) {
    if (metadata.has(key)) recommended.set(key, value(key), range, into);
  };
  set("general.sampling.temp", ranges::kTemperature, found.temperature);
  set("general.sampling.top_p", ranges::kTopP, found.top_p);
  set("general.sampling.penalty_repeat", ranges::kRepetition, found.repetition_penalty);
  constexpr std::string_view kTopKey = "general.sampling.top_k";
  if (metadata.has(kTopKey)) recommended.set_count(kTopKey, value(kTopKey), found.top_k);
  return found;
}

GenerationDefaults huggingface_generation(const nlohmann::json& object, const std::string& file,
                                          std::vector<std::string>& warnings) {
  GenerationDefaults found;
  Recommendations recommended(file, warnings);
  JsonFields fields(object, file);
  bool draws = true;
  if (const nlohmann::json* value = fields.find("do_sample")) {
    if (value->is_boolean()) {
      draws = value->get<bool>();
    } else {
      recommended.ignore("do_sample", given(*value).otherwise, "expected true or false");
    }
  }
  auto set = [&](const char* key, const NumberRange& range, std::optional<float>& into) {
    if (const nlohmann::json* value = fields.find(key)) recommended.set(key, given(*value), range, into);
  };
  set("repetition_penalty", ranges::kRepetition, found.repetition_penalty);
  if (!draws) {
    found.temperature = 0;
    return found;
  }
  set("temperature", ranges::kTemperature, found.temperature);
  set("top_p", ranges::kTopP, found.top_p);
  if (const nlohmann::json* value = fields.find("top_k")) recommended.set_count("top_k", given(*value), found.top_k);
  return found;
}

}  // namespace halftone
