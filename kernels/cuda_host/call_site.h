// Where in a kernel's source a primitive is called, for reports: the default argument of every primitive.
#pragma once

namespace halftone::cuda_host {

struct CallSite {
  const char* file = "";
  int line = 0;

  static constexpr CallSite here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
  bool operator==(const CallSite&) const = default;
};

}  // namespace halftone::cuda_host
