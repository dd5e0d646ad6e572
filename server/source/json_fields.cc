#include "server/source/json_fields.h"

#include <utility>

#include "server/source/message.h"

namespace halftone {

std::optional<int64_t> json_integer(const nlohmann::json& value) {
  if (value.is_number_unsigned()) {
    const uint64_t number = value.get<uint64_t>();
    return std::in_range<int64_t>(number) ? std::optional<int64_t>(static_cast<int64_t>(number)) : std::nullopt;
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (!(number >= -0x1p53 && number <= 0x1p53)) return std::nullopt;
  const int64_t whole = static_cast<int64_t>(number);
  return static_cast<double>(whole) == number ? std::optional<int64_t>(whole) : std::nullopt;
}

const nlohmann::json* JsonFields::find(const char* key) const {
  auto it = object_.find(key);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

bool JsonFields::has(const char* key) const { return find(key) != nullptr; }

bool JsonFields::named(const char* key) const { return object_.contains(key); }

std::string JsonFields::name(const char* key) const { return message(file_, ": ", within_, key); }

void JsonFields::expected(const char* key, std::string_view what) {
  status_.Update(absl::InvalidArgumentError(
      message(name(key), has(key) ? " is something else, expected " : " is missing, expected ", what)));
}

int64_t JsonFields::integer(const char* key, std::optional<int64_t> fallback) {
  const nlohmann::json* value = find(key);
  if (!value && fallback) return *fallback;
  std::optional<int64_t> number = value ? json_integer(*value) : std::nullopt;
  if (!number) expected(key, "an integer");
  return number.value_or(fallback.value_or(0));
}

double JsonFields::number(const char* key, std::optional<double> fallback) {
  const nlohmann::json* value = find(key);
  if (!value && fallback) return *fallback;
  if (value && value->is_number()) return value->get<double>();
  expected(key, "a number");
  return fallback.value_or(0);
}

bool JsonFields::flag(const char* key, bool fallback) {
  const nlohmann::json* value = find(key);
  if (!value) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  expected(key, "true or false");
  return fallback;
}

std::string JsonFields::text(const char* key, std::optional<std::string> fallback) {
  const nlohmann::json* value = find(key);
  if (!value && fallback) return *fallback;
  if (value && value->is_string()) return value->get<std::string>();
  expected(key, "a text");
  return fallback.value_or("");
}

}  // namespace halftone
