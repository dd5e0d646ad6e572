// Rules to check requests against, over FakeExecutor and the fake vocabulary; and short ways to write requests.
#pragma once

#include <memory>
#include <string>

#include "halftone/v1/inference.pb.h"
#include "server/api/service_context.h"
#include "tests/support/fake_executor.h"

namespace halftone {

Limits test_limits(const FakeExecutorConfig& executor);
// `tokenizer` is borrowed.
RequestRules test_rules(const Tokenizer& tokenizer, const FakeExecutor& executor, const Limits& limits,
                        bool chat_template);
// The parts are made in the order of the members.
struct TestRules {
  explicit TestRules(const FakeExecutorConfig& config = {});

  FakeExecutor executor;
  std::unique_ptr<Tokenizer> tokenizer;
  RequestRules rules;  // with a chat template
};

// Short ways to write requests.
v1::GenerateRequest text_request(const std::string& text, uint32_t max_new_tokens = 8);
template <class Message>
Message from_text(const std::string& text);  // text format; a mistake ends the test program

extern template v1::GenerateRequest from_text(const std::string&);
extern template v1::ScoreRequest from_text(const std::string&);
extern template v1::TokenizeRequest from_text(const std::string&);
extern template v1::DetokenizeRequest from_text(const std::string&);

}  // namespace halftone
