// What a request has become so far: which rows of logits it wants from a chunk, and what the rows that came back mean
// for its text, its token records and its end. Engine thread only.
//
//   append_rows take    for each step that holds a chunk of the sequence, while take() does not say that it is done
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "server/engine/output_stream.h"
#include "server/engine/request.h"
#include "server/executor/executor.h"
#include "server/scheduler/scheduler.h"
#include "server/text/stop_strings.h"
#include "server/text/tokenizer.h"
#include "server/text/utf8_stream.h"

namespace halftone {

class Generation {
 public:
  // Borrowed: both outlive it; the request does not change. `max_generated`: where the answer ends at the latest.
  Generation(const Request& request, const Tokenizer& tokenizer, int64_t max_generated);

  // Whether every row of the prompt is wanted, for scores or prompt log-probabilities.
  bool reads_prompt() const { return reads_prompt_; }

  // The rows that this chunk has to give, ascending. What they point to stays valid until take().
  void append_rows(const PlannedSequence& chunk, std::vector<LogitRow>* rows) const;

  struct Outcome {
    std::optional<int32_t> token;  // drawn, to be appended to the sequence
    bool done = false;             // the answer is complete
    bool broken = false;           // a row was not finite: nothing of it counts
  };
  // Takes the results of exactly the rows that append_rows() asked for.
  Outcome take(const PlannedSequence& chunk, std::span<const RowResult> rows);

  // Ends the answer here, with the text so far.
  void end_early(FinishReason reason);

  int64_t generated() const { return generated_; }
  const std::optional<Finish>& finish() const { return finish_; }  // of a complete answer
  bool has_delta() const { return !delta_.text.empty() || !delta_.tokens.empty() || !delta_.prompt_tokens.empty(); }
  OutputDelta take_delta();  // what came since the last time; with the finish once there is one

 private:
  bool wants_prompt_row(int64_t position) const;
  bool samples(const PlannedSequence& chunk) const;
  TokenRecord record(int32_t id) const;
  void take_prompt_row(int64_t position, const RowResult& row);
  void take_token(const RowResult& row);
  void count_prompt();
  void count_output(int32_t id);
  void add_text(std::string_view bytes);
  void show(std::string_view text);
  void end(FinishReason reason);
  bool ends_answer(int32_t id) const;

  const Request& request_;
  const Tokenizer& tokenizer_;
  const int64_t max_generated_;
  const bool reads_prompt_;
  int64_t generated_ = 0;
  int64_t next_scored_ = 1;  // prompt tokens before it have their record
  std::vector<TokenRecord> prompt_records_;
  std::vector<int32_t> banned_;     // before min_new_tokens
  std::vector<TokenCount> counts_;  // where penalties want them; ascending by id
  Utf8Stream utf8_;
  StopStrings stops_;
  OutputDelta delta_;
  std::optional<Finish> finish_;
};

}  // namespace halftone
