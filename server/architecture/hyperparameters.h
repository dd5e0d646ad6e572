// The hyperparameters of a checkpoint by key, as config.json or a GGUF file's metadata has them: what families read
// from. One thread. The first mistake is remembered and everything after it answers with the fallback: read all, then
// ask status().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace halftone {

class Hyperparameters {
 public:
  virtual ~Hyperparameters() = default;

  virtual bool has(const char* key) const = 0;    // a null of JSON counts as absent
  virtual bool named(const char* key) const = 0;  // even where it is null
  // Without a fallback the key has to be there.
  virtual int64_t integer(const char* key, std::optional<int64_t> fallback = {}) = 0;
  virtual double number(const char* key, std::optional<double> fallback = {}) = 0;
  virtual bool flag(const char* key, bool fallback) = 0;
  virtual std::string text(const char* key, std::optional<std::string> fallback = {}) = 0;  // fit to be shown
  // A list; nothing where the key is absent or something else, without a complaint.
  virtual std::optional<std::vector<int64_t>> integers(const char* key) const = 0;
  virtual std::optional<std::vector<std::string>> texts(const char* key) const = 0;
  // An object's own keys; null where the key is absent (or, with a complaint, no object). What it complains of is said
  // here, too, once complain() has been called with its status.
  virtual std::unique_ptr<Hyperparameters> object(const char* key) = 0;

  // For messages: "FILE", "FILE: key".
  virtual const std::string& file() const = 0;
  virtual std::string name(const char* key) const = 0;

  void complain(const absl::Status& status) { status_.Update(status); }
  // UNIMPLEMENTED "FILE: key: what".
  void not_here(const char* key, std::string_view what);
  // One number for all layers or a list with one for each; layers is in range.
  std::vector<int64_t> by_layer(const char* key, int64_t layers, std::optional<int64_t> fallback = {});
  const absl::Status& status() const { return status_; }

 private:
  absl::Status status_;
};

}  // namespace halftone
