// The one reader of JSON from files, which nobody vouches for: its depth and the number of its values are limited
// before anything recursive touches it, errors say where, and what Python writes beyond the standard (NaN, Infinity) is
// read. Any thread.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace halftone {

inline constexpr int kMaxJsonDepth = 128;
inline constexpr uint64_t kMaxJsonValues = uint64_t{1} << 22;

// What to make of a key that one object has twice: Python takes the last value, we ask for one where a person writes.
enum class RepeatedKey { kRefused, kLastCounts };

// A JSON object. `file` is only for messages. INVALID_ARGUMENT: no JSON, with line and column; no object; too deep, too
// many values; a key twice, at any depth, where that is refused.
absl::StatusOr<nlohmann::json> parse_json_object(std::string_view text, const std::string& file,
                                                 RepeatedKey repeated = RepeatedKey::kRefused,
                                                 uint64_t most_values = kMaxJsonValues);

}  // namespace halftone
