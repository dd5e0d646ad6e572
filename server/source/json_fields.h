// Checked reading of JSON that nobody vouches for: one object's fields by name and type. One thread.
// The first mistake is remembered and everything after it answers with the fallback: read all, then ask status().
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/source/json_reader.h"

namespace halftone {

class JsonFields {
 public:
  // `object` and `file` must outlive this. `within` is what messages put before a key: "" or "rope_scaling.".
  JsonFields(const nlohmann::json& object, const std::string& file, std::string within = "")
      : object_(object), file_(file), within_(std::move(within)) {}

  bool has(const char* key) const;    // null counts as absent
  bool named(const char* key) const;  // even if it is null
  const nlohmann::json* find(const char* key) const;

  // Without a fallback the key has to be there. Whole numbers may be written as 1e4.
  int64_t integer(const char* key, std::optional<int64_t> fallback = {});
  double number(const char* key, std::optional<double> fallback = {});
  bool flag(const char* key, bool fallback);
  std::string text(const char* key, std::optional<std::string> fallback = {});

  void complain(const absl::Status& status) { status_.Update(status); }
  // "FILE: key", for messages.
  std::string name(const char* key) const;
  const absl::Status& status() const { return status_; }

 private:
  void expected(const char* key, std::string_view what);

  const nlohmann::json& object_;
  const std::string& file_;
  std::string within_;
  absl::Status status_;
};

// The integer that a JSON number says, if it says one within int64 (1e4 does, 0.5 and 1e30 do not).
std::optional<int64_t> json_integer(const nlohmann::json& value);

}  // namespace halftone
