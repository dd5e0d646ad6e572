// One row for each field of each request: what else it needs, what is legal, what lies on the border, what is refused
// and with which words, and how its effect is seen in the request that the engine gets.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "server/engine/request.h"

namespace halftone {

struct Refused {
  std::string request;  // text format
  std::string code;     // "INVALID_ARGUMENT"
  std::string message;  // a part of it
};

// Requests are in text format; `companions` is put before each of them.
template <class Effect>
struct FieldRow {
  std::string field;  // "Sampling.top_p"
  std::string companions;
  std::string legal;
  Effect effect;                     // of `legal`
  std::vector<std::string> borders;  // legal too
  std::vector<Refused> refused;
};

using RequestEffect = std::function<bool(const Request&)>;
std::vector<FieldRow<RequestEffect>> generate_rows();
std::vector<FieldRow<RequestEffect>> score_rows();

}  // namespace halftone
