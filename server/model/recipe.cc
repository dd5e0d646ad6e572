#include "server/model/recipe.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/kv/kv.h"
#include "kernels/weights/weights.h"
#include "server/source/json_fields.h"
#include "server/source/mapped_file.h"
#include "server/source/message.h"

namespace halftone {
namespace {

constexpr const char* kClassNames[] = {"embedding", "attention", "mlp", "head"};
constexpr int kGroups[] = {32, 64, 128};  // that may be forced
constexpr uint64_t kMaxRecipeBytes = 1 << 20;
constexpr int64_t kMaxLayers = 100000;

std::string class_name(TensorClass tensor_class) { return kClassNames[static_cast<size_t>(tensor_class)]; }

absl::Status wrong(const std::string& what, std::string_view got, std::string_view expected) {
  return absl::InvalidArgumentError(message(what, " is \"", shown(got), "\"; expected ", expected));
}

absl::Status within_field(const std::string& field, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(field, ": ", status.message()));
}

absl::StatusOr<std::vector<TensorClass>> read_classes(const nlohmann::json& value, const std::string& where) {
  std::vector<TensorClass> classes;
  if (!value.is_array() || value.empty()) return wrong(where, value.dump(), "a list of tensor classes");
  for (const nlohmann::json& item : value) {
    const std::string name = item.is_string() ? item.get<std::string>() : item.dump();
    auto found = std::find(std::begin(kClassNames), std::end(kClassNames), name);
    if (found == std::end(kClassNames)) return wrong(where, name, absl::StrJoin(kClassNames, ", "));
    classes.push_back(static_cast<TensorClass>(found - std::begin(kClassNames)));
  }
  std::sort(classes.begin(), classes.end());
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
  return classes;
}

absl::Status only_keys(const nlohmann::json& object, const std::vector<std::string>& keys, const std::string& where) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      return wrong(where + ": a key", key, absl::StrJoin(keys, ", "));
    }
  }
  return absl::OkStatus();
}

// "3" or "0-7".
absl::Status read_layers(const std::string& text, const std::string& where, RecipeRow* row) {
  const size_t dash = text.find('-');
  const std::string first = text.substr(0, dash), last = dash == std::string::npos ? first : text.substr(dash + 1);
  const bool numbers = absl::SimpleAtoi(first, &row->first_layer) && absl::SimpleAtoi(last, &row->last_layer);
  if (!numbers || row->first_layer < 0 || row->last_layer < row->first_layer || row->last_layer > kMaxLayers) {
    return wrong(where, text, "a layer or a range of layers, as \"0-7\"");
  }
  return absl::OkStatus();
}

absl::StatusOr<RecipeRow> read_row(const nlohmann::json& object, const std::string& file, const std::string& within) {
  if (!object.is_object()) return wrong(absl::StrCat(file, ": ", within), object.dump(), "an object");
  JsonFields fields(object, file, within + ".");
  absl::Status keys =
      only_keys(object, {"tensors", "layers", "format", "requantize"}, absl::StrCat(file, ": ", within));
  if (!keys.ok()) return keys;
  RecipeRow row;
  const std::string format = fields.text("format");
  const bool requantize = fields.flag("requantize", false);
  const bool some_layers = fields.has("layers");
  const std::string layers = fields.text("layers", "");
  if (!fields.status().ok()) return fields.status();
  const nlohmann::json* tensors = fields.find("tensors");
  absl::StatusOr<std::vector<TensorClass>> classes =
      read_classes(tensors != nullptr ? *tensors : nlohmann::json(), fields.name("tensors"));
  if (!classes.ok()) return classes.status();
  row.classes = *std::move(classes);
  if (some_layers) {
    absl::Status status = read_layers(layers, fields.name("layers"), &row);
    if (!status.ok()) return status;
  }
  absl::StatusOr<WeightChoice> choice = parse_weight_choice(format);
  if (!choice.ok()) return within_field(fields.name("format"), choice.status());
  row.choice = *std::move(choice);
  row.choice.requantize = requantize;
  return row;
}

absl::StatusOr<std::vector<int64_t>> read_dropped(const nlohmann::json& value, const std::string& where) {
  std::vector<int64_t> dropped;
  if (!value.is_array()) return wrong(where, value.dump(), "a list of layers");
  for (const nlohmann::json& item : value) {
    std::optional<int64_t> layer = json_integer(item);
    if (!layer || *layer < 0 || *layer > kMaxLayers) return wrong(where, item.dump(), "a layer's number");
    dropped.push_back(*layer);
  }
  std::sort(dropped.begin(), dropped.end());
  dropped.erase(std::unique(dropped.begin(), dropped.end()), dropped.end());
  return dropped;
}

bool is_name(std::string_view name) {
  constexpr std::string_view kOthers = "-_.";
  auto allowed = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kOthers.find(c) != std::string_view::npos;
  };
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), allowed);
}

}  // namespace

std::string WeightChoice::name() const {
  return absl::StrCat(format, group > 0 ? absl::StrCat("g", group) : "", requantize ? "-requantized" : "");
}

const WeightChoice* Recipe::choose(TensorClass tensor_class, int64_t layer) const {
  for (const RecipeRow& row : rows) {
    const bool named = std::find(row.classes.begin(), row.classes.end(), tensor_class) != row.classes.end();
    const bool in_layers = tensor_class == TensorClass::kEmbedding || tensor_class == TensorClass::kHead ||
                           (row.first_layer <= layer && layer <= row.last_layer);
    if (named && in_layers) return &row.choice;
  }
  return nullptr;
}

bool Recipe::drops(int64_t layer) const { return std::binary_search(dropped.begin(), dropped.end(), layer); }

std::string Recipe::text() const {
  std::string out;
  for (const RecipeRow& row : rows) {
    auto append = [](std::string* to, TensorClass tensor_class) { *to += class_name(tensor_class); };
    absl::StrAppend(&out, out.empty() ? "" : ";", absl::StrJoin(row.classes, ",", append));
    if (row.last_layer != INT64_MAX) absl::StrAppend(&out, "[", row.first_layer, "-", row.last_layer, "]");
    absl::StrAppend(&out, "=", row.choice.name());
  }
  if (!dropped.empty()) absl::StrAppend(&out, ";drop=", absl::StrJoin(dropped, ","));
  return out;
}

absl::StatusOr<WeightChoice> parse_weight_choice(std::string_view text) {
  WeightChoice choice;
  const size_t g = text.find('g');
  choice.format = std::string(text.substr(0, g));
  const WeightFormat* format = find_weight_format(choice.format);
  bool known = format != nullptr;
  if (known && g != std::string_view::npos) {
    known = false;
    for (int group : kGroups) {
      if (format->code_bits == 0 || text.substr(g + 1) != std::to_string(group)) continue;
      choice.group = group;
      known = true;
    }
  }
  if (known) return choice;
  std::string names;
  for (const WeightFormat* f : all_weight_formats()) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", std::string(f->name));
    if (f->code_bits > 0) {
      for (int group : kGroups) absl::StrAppend(&names, ", ", std::string(f->name), "g", group);
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("weight format \"", shown(text), "\" is not known; known formats: ", names));
}

absl::StatusOr<Activations> parse_activations(std::string_view text) {
  if (text == "a16") return Activations::kA16;
  if (text == "a8") return Activations::kA8;
  if (text == "a8t") return Activations::kA8Token;
  return absl::InvalidArgumentError(
      absl::StrCat("activation format \"", shown(text), "\" is not known; known formats: a16, a8, a8t"));
}

absl::StatusOr<RecipeFile> parse_recipe(std::string_view json, const std::string& file) {
  absl::StatusOr<nlohmann::json> object = parse_json_object(json, file);
  if (!object.ok()) return object.status();
  absl::Status keys = only_keys(*object, {"name", "activations", "kv", "weights", "drop_layers"}, file);
  if (!keys.ok()) return keys;
  JsonFields fields(*object, file);
  RecipeFile recipe;
  recipe.name = fields.text("name");
  recipe.activations = fields.text("activations", "a16");
  recipe.kv = fields.text("kv", "kv16");
  if (!fields.status().ok()) return fields.status();
  if (!is_name(recipe.name)) return wrong(fields.name("name"), recipe.name, "1 to 64 letters, digits, - _ .");
  if (absl::Status status = parse_activations(recipe.activations).status(); !status.ok()) {
    return within_field(fields.name("activations"), status);
  }
  if (find_kv_format(recipe.kv) == nullptr) return wrong(fields.name("kv"), recipe.kv, "kv16 or kv8");
  const nlohmann::json* rows = fields.find("weights");
  if (rows == nullptr || !rows->is_array() || rows->empty()) {
    return wrong(fields.name("weights"), rows == nullptr ? "" : rows->dump(), "a list of rows");
  }
  for (size_t i = 0; i < rows->size(); ++i) {
    absl::StatusOr<RecipeRow> row = read_row((*rows)[i], file, absl::StrCat("weights[", i, "]"));
    if (!row.ok()) return row.status();
    recipe.recipe.rows.push_back(*std::move(row));
  }
  if (const nlohmann::json* dropped = fields.find("drop_layers"); dropped != nullptr) {
    absl::StatusOr<std::vector<int64_t>> layers = read_dropped(*dropped, fields.name("drop_layers"));
    if (!layers.ok()) return layers.status();
    recipe.recipe.dropped = *std::move(layers);
  }
  return recipe;
}

absl::StatusOr<RecipeFile> read_recipe(const std::string& path) {
  absl::StatusOr<std::string> text = read_small_file(path, kMaxRecipeBytes);
  if (!text.ok()) return text.status();
  return parse_recipe(*text, path);
}

}  // namespace halftone
