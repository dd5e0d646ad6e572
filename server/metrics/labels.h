// The values of labels: the fixed lists that requests are counted under, and names that come from outside. Whatever a
// caller says, no series beyond the lists can appear: an unknown word becomes the list's last one. Any thread.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace halftone {

// gRPC's status codes by name. Unknown words count as UNKNOWN.
inline constexpr std::array<std::string_view, 17> kStatusCodes = {
    "OK",          "CANCELLED",         "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "ABORTED",     "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "OUT_OF_RANGE",      "INTERNAL",  "FAILED_PRECONDITION",
    "UNAVAILABLE", "UNAUTHENTICATED",   "UNIMPLEMENTED",      "DATA_LOSS",         "UNKNOWN"};

// With these a request that once was a sequence may end; their series exist from the start.
inline constexpr std::array<std::string_view, 6> kEndingCodes = {
    "OK", "CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNAVAILABLE"};

// Why an answer ended. "none": it did not end by itself, or there was nothing to generate (a score).
inline constexpr std::array<std::string_view, 6> kFinishReasons = {"none",          "stop",       "length",
                                                                   "context_limit", "time_limit", "other"};

// Why a request never became a sequence.
inline constexpr std::array<std::string_view, 12> kRejectReasons = {
    "invalid",         // a bad field, bytes that are no message, a prompt that is longer than the context
    "not_found",       // no such mode
    "unsupported",     // the model or mode cannot do that
    "too_long",        // prompt and max_new_tokens together are more than the context
    "never_fits",      // ... or more than all pages
    "duplicate_id",    // a living request has this id
    "queue_full",      // in requests or in tokens
    "text_desk_full",  // too much text in work, or in answers that nobody read yet
    "abandoned",       // cancelled, or late, before its text was encoded
    "loading",        "draining", "other"};

std::string_view known_code(std::string_view code);
std::string_view known_finish_reason(std::string_view reason);
std::string_view known_reject_reason(std::string_view reason);

// A label's value as Prometheus takes it, which refuses a whole page for one value that is not UTF-8: `text` itself
// where it is valid UTF-8; else with '?' for every byte outside ASCII. A checkpoint's name may hold anything.
std::string label_text(std::string_view text);

}  // namespace halftone
