// Text for errors. The distribution's abseil has a string_view of its own; this joins std::string_view as well.
// What a file calls something goes through shown() (clean_text.h).
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "server/text/clean_text.h"

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

}  // namespace halftone
