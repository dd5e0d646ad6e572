#include "client/command/comparison.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/command/json.h"
#include "client/command/table.h"

namespace halftone {
namespace {

using Json = nlohmann::ordered_json;

std::string piece_at(const ModeAnswer& answer, size_t index) {
  return index < answer.tokens.size() ? quoted(answer.tokens[index].piece()) : "its end";
}

Json piece_or_null(const ModeAnswer& answer, size_t index) {
  return index < answer.tokens.size() ? Json(answer.tokens[index].piece()) : Json();
}

// Of one stream, after its first token; 0 where there is no second one.
double tokens_per_second(const v1::Receipt& receipt) {
  return receipt.tpot_seconds() > 0 ? 1 / receipt.tpot_seconds() : 0;
}

std::string or_dash(double value) { return value > 0 ? short_number(value) : "-"; }

std::vector<std::string> row(const ModeAnswer& first, const ModeAnswer& answer) {
  const auto difference = first_difference(first, answer);
  const v1::Receipt& receipt = answer.receipt;
  return {answer.mode.id(),
          absl::StrCat(answer.tokens.size()),
          &answer == &first ? "-"
          : difference      ? absl::StrCat(*difference)
                            : "same",
          short_number(receipt.ttft_seconds() * 1e3),
          or_dash(receipt.tpot_seconds() * 1e3),
          or_dash(tokens_per_second(receipt)),
          mib(answer.mode.own_bytes()),
          mib(answer.mode.shared_bytes()),
          absl::StrCat(answer.mode.kv_bytes_per_token()),
          mib(receipt.peak_kv_bytes()),
          v1::Finish::Reason_Name(answer.reason)};
}

Json to_json(const ModeAnswer& first, const ModeAnswer& answer) {
  Json ids = Json::array(), difference;
  for (const v1::TokenInfo& token : answer.tokens) ids.push_back(token.id());
  if (const auto index = first_difference(first, answer)) {
    difference = {{"index", *index},
                  {"piece", piece_or_null(answer, *index)},
                  {"first_mode_piece", piece_or_null(first, *index)}};
  }
  const v1::Receipt& receipt = answer.receipt;
  return {{"mode", answer.mode.id()},
          {"text", answer.text},
          {"token_ids", ids},
          {"finish", v1::Finish::Reason_Name(answer.reason)},
          {"first_difference", difference},
          {"prompt_tokens", receipt.prompt_tokens()},
          {"queue_seconds", receipt.queue_seconds()},
          {"ttft_seconds", receipt.ttft_seconds()},
          {"tpot_seconds", receipt.tpot_seconds()},
          {"tokens_per_second", tokens_per_second(receipt)},
          {"own_bytes", answer.mode.own_bytes()},
          {"shared_bytes", answer.mode.shared_bytes()},
          {"kv_bytes_per_token", answer.mode.kv_bytes_per_token()},
          {"peak_kv_bytes", receipt.peak_kv_bytes()}};
}

}  // namespace

void ModeAnswer::add(const v1::GenerateResponse& message) {
  text += message.text();
  tokens.insert(tokens.end(), message.tokens().begin(), message.tokens().end());
  if (!message.has_finish()) return;
  reason = message.finish().reason();
  receipt = message.receipt();
}

std::optional<size_t> first_difference(const ModeAnswer& a, const ModeAnswer& b) {
  const size_t shorter = std::min(a.tokens.size(), b.tokens.size());
  for (size_t i = 0; i < shorter; ++i) {
    if (a.tokens[i].id() != b.tokens[i].id()) return i;
  }
  if (a.tokens.size() == b.tokens.size()) return std::nullopt;
  return shorter;
}

std::string difference_line(const ModeAnswer& first, const ModeAnswer& other) {
  const auto index = first_difference(first, other);
  if (!index) return absl::StrCat("the same ", other.tokens.size(), " tokens as ", first.mode.id());
  return absl::StrCat("token ", *index, " is ", piece_at(other, *index), " where ", first.mode.id(), " has ",
                      piece_at(first, *index));
}

std::string comparison_table(absl::Span<const ModeAnswer> answers) {
  Table table;
  table.add({"mode", "tokens", "differs at", "TTFT", "TPOT", "tok/s", "own", "shared", "KV B/", "KV used", "ended by"});
  table.add({"", "", "token", "ms", "ms", "", "MiB", "MiB", "token", "MiB", ""});
  for (const ModeAnswer& answer : answers) table.add(row(answers.front(), answer));
  return table.text();
}

std::string comparison_json(const std::string& prompt, absl::Span<const ModeAnswer> answers) {
  Json out = {{"prompt", prompt}, {"first_mode", answers.front().mode.id()}, {"answers", Json::array()}};
  for (const ModeAnswer& answer : answers) out["answers"].push_back(to_json(answers.front(), answer));
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace halftone
