#include "tests/e2e/storm.h"

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"

namespace halftone {

std::vector<Question> make_questions(const QuestionOptions& options) {
  std::vector<Question> questions;
  std::mt19937_64 random(7);
  for (int i = 0; i < options.per_mode; ++i) {
    std::vector<uint32_t> prompt(1 + random() % 60);
    for (uint32_t& id : prompt) id = 3 + static_cast<uint32_t>(random() % (options.vocabulary - 3));
    for (const std::string& mode : options.modes) {
      v1::GenerateRequest request;
      request.set_mode(mode);
      request.mutable_tokens()->mutable_ids()->Add(prompt.begin(), prompt.end());
      request.mutable_sampling()->set_temperature(i % 2 == 0 ? 0.0f : 0.9f);
      request.mutable_sampling()->set_seed(static_cast<uint64_t>(i));
      request.mutable_stopping()->set_max_new_tokens(options.max_tokens);
      questions.push_back({request, {}, "", v1::Finish::REASON_UNSPECIFIED});
    }
  }
  return questions;
}

absl::Status answer_alone(Client& client, std::vector<Question>& questions) {
  for (Question& question : questions) {
    StreamEnd end = stream(client, question.request);
    if (!end.status.ok()) return end.status;
    question.ids = std::move(end.ids);
    question.text = std::move(end.text);
    question.reason = end.reason;
  }
  return absl::OkStatus();
}

StreamEnd stream(Client& client, const v1::GenerateRequest& request, const CallOptions& options,
                 const OnStreamMessage& on_message) {
  StreamEnd end;
  const auto add = [&](const v1::GenerateResponse& message) {
    for (const v1::TokenInfo& token : message.tokens()) end.ids.push_back(token.id());
    end.text += message.text();
    end.reason = message.finish().reason();
    ++end.messages;
    if (on_message) on_message(end);
  };
  end.status = client.generate(request, add, options);
  return end;
}

std::string what_is_wrong(const StreamEnd& end, const v1::GenerateRequest& request, const Question& question) {
  const size_t got = end.ids.size(), alone = question.ids.size();
  if (got > alone || !std::equal(end.ids.begin(), end.ids.end(), question.ids.begin())) {
    return absl::StrCat(got, " tokens are no beginning of the ", alone, " given alone");
  }
  if (!end.status.ok()) return "";
  const uint32_t most = request.stopping().max_new_tokens();
  const size_t wanted = std::min<size_t>(alone, most);
  if (got != wanted) return absl::StrCat("is OK with ", got, " tokens; alone there were ", alone);
  if (wanted < alone && end.reason != v1::Finish::LENGTH) return "was cut, but does not end by LENGTH";
  if (most != question.request.stopping().max_new_tokens()) return "";
  if (end.reason != question.reason) return absl::StrCat("ends by ", v1::Finish::Reason_Name(end.reason));
  return end.text == question.text ? "" : "has the same ids, but another text";
}

}  // namespace halftone
