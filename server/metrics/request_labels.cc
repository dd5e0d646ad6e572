#include "server/metrics/request_labels.h"

#include <algorithm>

namespace halftone {
namespace {

template <typename List>
std::string_view known(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) == list.end() ? list.back() : word;
}

}  // namespace

std::string_view known_code(std::string_view code) { return known(kStatusCodes, code); }
std::string_view known_finish_reason(std::string_view reason) { return known(kFinishReasons, reason); }
std::string_view known_reject_reason(std::string_view reason) { return known(kRejectReasons, reason); }

}  // namespace halftone
