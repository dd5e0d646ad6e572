// Each flag of `generate` sets its field of the request, and each field has a flag.
#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/client/process.h"
#include "tests/client/scripted_server.h"
#include "tests/server/rpc/live_server.h"

namespace halftone {
namespace {

struct FlagRow {
  std::vector<std::string> flags;
  std::string request;  // what they add, in text format
};

const std::vector<FlagRow>& rows() {
  static const std::vector<FlagRow> all = {
      {{"--mode", "bf16"}, "mode: 'bf16'"},
      {{"--request-id", "mine"}, "request_id: 'mine'"},
      {{"--temperature", "0.5"}, "sampling { temperature: 0.5 }"},
      {{"--top-p", "0.25"}, "sampling { top_p: 0.25 }"},
      {{"--top-k", "7"}, "sampling { top_k: 7 }"},
      {{"--min-p", "0.125"}, "sampling { min_p: 0.125 }"},
      {{"--repetition-penalty", "1.5"}, "sampling { repetition_penalty: 1.5 }"},
      {{"--presence-penalty", "-0.5"}, "sampling { presence_penalty: -0.5 }"},
      {{"--frequency-penalty", "0.5"}, "sampling { frequency_penalty: 0.5 }"},
      {{"--seed", "18446744073709551615"}, "sampling { seed: 18446744073709551615 }"},
      {{"--bias", "42=-5", "--bias", "7=1.5"},
       "sampling { logit_bias { id: 42 bias: -5 } logit_bias { id: 7 bias: 1.5 } }"},
      {{"--max-tokens", "9"}, "stopping { max_new_tokens: 9 }"},
      {{"--min-tokens", "3"}, "stopping { min_new_tokens: 3 }"},
      {{"--stop", "a b", "--stop", "c"}, "stopping { stop: ['a b', 'c'] }"},
      {{"--stop-id", "5", "--stop-id", "6"}, "stopping { stop_token_ids: [5, 6] }"},
      {{"--ignore-eos"}, "stopping { ignore_eos: true }"},
      {{"--max-seconds", "1.5"}, "stopping { max_seconds: 1.5 }"},
      {{"--logprobs", "2"}, "output { logprobs: 2 }"},
      {{"--prompt-logprobs", "4"}, "output { prompt_logprobs: 4 }"},
      {{"--priority", "-3"}, "scheduling { priority: -3 }"},
      {{"--max-queue-seconds", "2.5"}, "scheduling { max_queue_seconds: 2.5 }"},
      {{"--cache-salt", "salt"}, "scheduling { cache_salt: 'salt' }"},
  };
  return all;
}

// As the command sends them even where no flag was given.
constexpr char kAlways[] = "sampling {} stopping {} output { receipt: true } scheduling {} ";

TEST(RequestFlags, EachSetsItsField) {
  ScriptedServer server;
  server.answer({{.messages = {message_of("x", true)}, .status = absl::OkStatus(), .usage = ""}});
  for (const FlagRow& row : rows()) {
    std::vector<std::string> arguments = {"generate", "hi", "--server", server.address()};
    arguments.insert(arguments.end(), row.flags.begin(), row.flags.end());
    const Finished finished = run_command(arguments);
    ASSERT_EQ(finished.status, 0) << row.flags[0] << ": " << finished.err;
    auto expected = from_text<v1::GenerateRequest>("text: 'hi' " + std::string(kAlways));
    expected.MergeFrom(from_text<v1::GenerateRequest>(row.request));
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(server.requests().back(), expected))
        << row.flags[0] << ": " << server.requests().back().ShortDebugString();
  }
}

void note_paths(const google::protobuf::Message& message, std::set<std::string>& out) {
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const auto* field : fields) {
    out.insert(field->full_name());
    if (field->message_type() == nullptr) continue;
    if (field->is_repeated()) {
      note_paths(message.GetReflection()->GetRepeatedMessage(message, field, 0), out);
    } else {
      note_paths(message.GetReflection()->GetMessage(message, field), out);
    }
  }
}

void all_paths(const google::protobuf::Descriptor* message, std::set<std::string>& out) {
  for (int i = 0; i < message->field_count(); ++i) {
    out.insert(message->field(i)->full_name());
    if (message->field(i)->message_type() != nullptr) all_paths(message->field(i)->message_type(), out);
  }
}

TEST(RequestFlags, EachFieldHasOne) {
  std::set<std::string> set, fields;
  for (const FlagRow& row : rows()) note_paths(from_text<v1::GenerateRequest>(row.request), set);
  // The ways to give a prompt are tested by name, the receipt is always asked for.
  note_paths(from_text<v1::GenerateRequest>("text: 'a' output { receipt: true }"), set);
  note_paths(from_text<v1::GenerateRequest>("tokens { ids: 1 }"), set);
  note_paths(from_text<v1::GenerateRequest>("chat { messages { role: 'user' content: 'a' } }"), set);
  all_paths(v1::GenerateRequest::descriptor(), fields);
  EXPECT_EQ(set, fields);
}

TEST(RequestFlags, ABiasThatIsNotOneIsAUsageError) {
  for (const char* bias : {"42", "x=1", "42=", "-1=2"}) {
    const Finished finished = run_command({"generate", "hi", "--server", "127.0.0.1:1", std::string("--bias=") + bias});
    EXPECT_EQ(finished.status, 2) << bias;
    EXPECT_THAT(finished.err, testing::HasSubstr("is not ID=VALUE")) << bias;
  }
}

}  // namespace
}  // namespace halftone
