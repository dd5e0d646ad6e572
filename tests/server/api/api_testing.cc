#include "tests/server/api/api_testing.h"

#include <google/protobuf/text_format.h>

#include "kernels/contract/check.h"
#include "tests/support/fake_vocabulary.h"

namespace halftone {
namespace {

constexpr char kChatml[] =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
    "'\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

}  // namespace

Limits test_limits(const FakeExecutorConfig& executor) {
  Limits limits;
  limits.max_context_tokens = limits.max_new_tokens = static_cast<uint32_t>(executor.context);
  return limits;
}

RequestRules test_rules(const Tokenizer& tokenizer, const FakeExecutor& executor, const Limits& limits,
                        bool chat_template) {
  RequestRules rules{.tokenizer = tokenizer,
                     .chat = absl::FailedPreconditionError("the chat template is not known; known are chatml, zephyr"),
                     .limits = limits,
                     .defaults = {},
                     .modes = {},
                     .vocabulary = executor.vocabulary()};
  if (chat_template) rules.chat = ChatTemplate::recognise(kChatml, "<s>", "</s>");
  HALFTONE_CHECK(rules.chat.ok() == chat_template);
  rules.defaults.sampling.top_k = 40;
  rules.defaults.max_new_tokens = 32;
  rules.modes.assign(executor.modes().begin(), executor.modes().end());
  return rules;
}

TestRules::TestRules(const FakeExecutorConfig& config)
    : executor(config),
      tokenizer(fake_tokenizer()),
      rules(test_rules(*tokenizer, executor, test_limits(config), true)) {}

v1::GenerateRequest text_request(const std::string& text, uint32_t max_new_tokens) {
  v1::GenerateRequest request;
  request.set_text(text);
  request.mutable_sampling()->set_temperature(0);
  request.mutable_stopping()->set_max_new_tokens(max_new_tokens);
  request.mutable_stopping()->set_ignore_eos(true);
  return request;
}

template <class Message>
Message from_text(const std::string& text) {
  Message message;
  HALFTONE_CHECK(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

template v1::GenerateRequest from_text(const std::string&);
template v1::ScoreRequest from_text(const std::string&);
template v1::TokenizeRequest from_text(const std::string&);
template v1::DetokenizeRequest from_text(const std::string&);

}  // namespace halftone
