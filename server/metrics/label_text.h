// A label's value as Prometheus takes it: it refuses a whole page for one value that is not UTF-8. Any thread.
#pragma once

#include <string>
#include <string_view>

namespace halftone {

// `text` itself where it is valid UTF-8; else with '?' for every byte outside ASCII. A checkpoint's name may hold
// anything.
std::string label_text(std::string_view text);

}  // namespace halftone
