// Text for errors. The distribution's abseil has a string_view of its own; this joins std::string_view as well.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace halftone {

template <typename T>
decltype(auto) printable(const T& part) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    return absl::string_view(part.data(), part.size());
  } else {
    return (part);
  }
}

template <typename... Parts>
std::string message(const Parts&... parts) {
  return absl::StrCat(printable(parts)...);
}

// What a file calls something, fit to be shown: at most 200 bytes, nothing that moves a cursor.
inline std::string shown(std::string_view name) { return absl::Utf8SafeCEscape(printable(name.substr(0, 200))); }

}  // namespace halftone
