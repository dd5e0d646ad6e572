// What a storm is made of: questions whose answers are known because each was asked alone before, and single streams
// that somebody disturbs. Any thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "client/client.h"

namespace halftone {

// The answer to `request` sent alone. Its ids are a function of the request: greedy or seeded, and stored shorter
// answers are beginnings of it.
struct Question {
  v1::GenerateRequest request;
  std::vector<uint32_t> ids;
  std::string text;
  v1::Finish::Reason reason = v1::Finish::REASON_UNSPECIFIED;
};

struct QuestionOptions {
  std::vector<std::string> modes;
  int per_mode = 8;
  uint32_t max_tokens = 96;
  uint32_t vocabulary = 320;
};
// Prompts of 1 to 60 random tokens, half of them greedy, half drawn with a seed; without answers.
std::vector<Question> make_questions(const QuestionOptions& options);
// Asks them one after the other.
absl::Status answer_alone(Client& client, std::vector<Question>& questions);

// One stream of the storm: what the client got, and whether that may be so.
struct StreamEnd {
  absl::Status status;
  std::vector<uint32_t> ids;
  std::string text;
  v1::Finish::Reason reason = v1::Finish::REASON_UNSPECIFIED;
  int messages = 0;
};
using OnStreamMessage = std::function<void(const StreamEnd& so_far)>;
StreamEnd stream(Client& client, const v1::GenerateRequest& request, const CallOptions& options = {},
                 const OnStreamMessage& on_message = nullptr);

// "" where all is right: a finished answer is the one given alone, cut at max_new_tokens of `request`; one that ended
// otherwise is a beginning of it. Statuses are the caller's to judge.
std::string what_is_wrong(const StreamEnd& end, const v1::GenerateRequest& request, const Question& question);

}  // namespace halftone
