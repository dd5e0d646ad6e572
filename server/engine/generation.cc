#include "server/engine/generation.h"

#include <algorithm>
#include <utility>

#include "kernels/contract/check.h"

namespace halftone {

Generation::Generation(const Request& request, const Tokenizer& tokenizer, int64_t max_generated)
    : request_(request),
      tokenizer_(tokenizer),
      max_generated_(max_generated),
      reads_prompt_(request.kind == Request::Kind::kScore || request.prompt_logprobs > 0),
      stops_(request.stop) {
  if (request.kind == Request::Kind::kScore) {
    next_scored_ = std::max<int64_t>(1, request.first_scored);
  } else if (reads_prompt_) {
    prompt_records_.push_back(record(request.prompt.front()));
  }
  if (request.min_new_tokens > 0) {
    banned_ = request.stop_token_ids;
    if (!request.ignore_eos) banned_.insert(banned_.end(), tokenizer.eos().begin(), tokenizer.eos().end());
  }
  if (request.sampling.penalizes() && max_generated > 0) count_prompt();
}

void Generation::count_prompt() {
  std::vector<int32_t> ids = request_.prompt;
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  for (int32_t id : ids) counts_.push_back({.id = id, .in_prompt = true});
}

void Generation::count_output(int32_t id) {
  const auto place = std::lower_bound(counts_.begin(), counts_.end(), id,
                                      [](const TokenCount& count, int32_t wanted) { return count.id < wanted; });
  if (place != counts_.end() && place->id == id) {
    ++place->in_output;
  } else {
    counts_.insert(place, {.id = id, .in_output = 1});
  }
}

bool Generation::wants_prompt_row(int64_t position) const {
  const int64_t target = position + 1;
  return reads_prompt_ && target >= next_scored_ && target < static_cast<int64_t>(request_.prompt.size());
}

bool Generation::samples(const PlannedSequence& chunk) const { return chunk.samples && max_generated_ > 0; }

void Generation::append_rows(const PlannedSequence& chunk, std::vector<LogitRow>* rows) const {
  for (int64_t i = 0; reads_prompt_ && i < chunk.count; ++i) {
    if (!wants_prompt_row(chunk.first + i)) continue;
    LogitRow row;
    row.token = i;
    row.target = request_.prompt[static_cast<size_t>(chunk.first + i + 1)];
    row.top = request_.kind == Request::Kind::kScore ? request_.score_top : request_.prompt_logprobs;
    rows->push_back(row);
  }
  if (!samples(chunk)) return;
  LogitRow row;
  row.token = chunk.count - 1;
  row.sampling = &request_.sampling;
  row.top = request_.logprobs;
  row.counts = counts_;
  if (generated_ < request_.min_new_tokens) row.banned = banned_;
  rows->push_back(row);
}

Generation::Outcome Generation::take(const PlannedSequence& chunk, std::span<const RowResult> rows) {
  Outcome outcome;
  outcome.broken = std::any_of(rows.begin(), rows.end(), [](const RowResult& row) { return !row.finite; });
  if (outcome.broken) return outcome;
  auto row = rows.begin();
  for (int64_t position = chunk.first; position < chunk.first + chunk.count && reads_prompt_; ++position) {
    if (wants_prompt_row(position)) take_prompt_row(position, *row++);
  }
  if (samples(chunk)) {
    outcome.token = row->token;
    take_token(*row++);
  } else if (chunk.samples && request_.kind == Request::Kind::kGenerate) {
    end(request_.max_new_tokens == 0 ? FinishReason::kLength : FinishReason::kContextLimit);
  }
  HALFTONE_CHECK(row == rows.end());
  if (chunk.samples) delta_.prompt_tokens = std::exchange(prompt_records_, {});
  outcome.done = finish_.has_value() || (chunk.samples && request_.kind == Request::Kind::kScore);
  return outcome;
}

TokenRecord Generation::record(int32_t id) const {
  TokenRecord record;
  record.id = id;
  record.piece = tokenizer_.piece(id);
  return record;
}

void Generation::take_prompt_row(int64_t position, const RowResult& row) {
  TokenRecord scored = record(request_.prompt[static_cast<size_t>(position + 1)]);
  scored.logprob = row.logprob;
  scored.rank = row.rank;
  scored.top = row.top;
  next_scored_ = position + 2;
  if (request_.kind == Request::Kind::kScore) {
    scored.logsumexp = row.logsumexp;
    delta_.tokens.push_back(std::move(scored));
  } else {
    prompt_records_.push_back(std::move(scored));
  }
}

bool Generation::ends_answer(int32_t id) const {
  const std::vector<int32_t>& stops = request_.stop_token_ids;
  return (!request_.ignore_eos && tokenizer_.is_eos(id)) || std::find(stops.begin(), stops.end(), id) != stops.end();
}

void Generation::take_token(const RowResult& row) {
  TokenRecord drawn = record(row.token);
  if (request_.logprobs > 0) {
    drawn.logprob = row.logprob;
    drawn.rank = row.rank;
    drawn.top = row.top;
  }
  delta_.tokens.push_back(std::move(drawn));
  ++generated_;
  if (request_.sampling.penalizes()) count_output(row.token);
  if (ends_answer(row.token)) {
    end(FinishReason::kStop);
    if (!finish_->stop) finish_->stop_token_id = row.token;
    return;
  }
  if (!tokenizer_.is_special(row.token)) add_text(tokenizer_.piece(row.token));
  if (!finish_ && generated_ >= max_generated_) {
    end(generated_ >= request_.max_new_tokens ? FinishReason::kLength : FinishReason::kContextLimit);
  }
}

void Generation::add_text(std::string_view bytes) { show(utf8_.push(bytes)); }

// Stop strings are looked for in the text of the tokens that may end the answer.
void Generation::show(std::string_view text) {
  if (request_.stop.empty() || generated_ < request_.min_new_tokens) {
    delta_.text += text;
    return;
  }
  StopStrings::Result found = stops_.push(text);
  delta_.text += found.text;
  if (found.matched) finish_ = Finish{FinishReason::kStop, stops_.stop(*found.matched), std::nullopt};
}

void Generation::end(FinishReason reason) {
  show(utf8_.flush());
  if (finish_) return;  // the broken last character completed a stop string
  delta_.text += stops_.flush();
  finish_ = Finish{reason, std::nullopt, std::nullopt};
}

void Generation::end_early(FinishReason reason) {
  delta_.prompt_tokens = std::exchange(prompt_records_, {});
  end(reason);
}

OutputDelta Generation::take_delta() {
  OutputDelta delta = std::exchange(delta_, {});
  if (finish_) delta.finish = finish_;
  return delta;
}

}  // namespace halftone
