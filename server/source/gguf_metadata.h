// The key-value part of a GGUF file, by type. Values own their memory: the mapped file may go away.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace halftone {

class GgufMetadata {
 public:
  // Integers of every width come as int64 (uint64 beyond its range is refused by the reader), float32 and float64 as
  // double.
  using Value = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<double>,
                             std::vector<std::string>, std::vector<bool>>;

  void set(std::string key, Value value) { values_.insert_or_assign(std::move(key), std::move(value)); }
  bool has(std::string_view key) const { return values_.find(key) != values_.end(); }

  // The value if the key is there with this type; integers also answer to double.
  template <typename T>
  const T* find(std::string_view key) const {
    auto it = values_.find(key);
    return it == values_.end() ? nullptr : std::get_if<T>(&it->second);
  }
  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<std::string> text(std::string_view key) const;
  std::optional<bool> flag(std::string_view key) const;

 private:
  std::map<std::string, Value, std::less<>> values_;
};

}  // namespace halftone
