// Each row of the table, and that no field of a request is without one.
#include "tests/server/api/field_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "google/rpc/error_details.pb.h"
#include "server/api/field_checks.h"
#include "server/api/validate.h"
#include "tests/server/api/api_testing.h"
#include "tests/support/fake_vocabulary.h"

namespace halftone {
namespace {

using google::protobuf::Descriptor;

const FakeExecutorConfig kTwoModes{.modes = {{.id = "w4a16"}, {.id = "w4a16+kv8"}}};

absl::StatusOr<Request> make(const std::string& text, const v1::GenerateRequest&, const RequestRules& rules) {
  return make_generate_request(from_text<v1::GenerateRequest>(text), rules, CallTimes());
}
absl::StatusOr<Request> make(const std::string& text, const v1::ScoreRequest&, const RequestRules& rules) {
  return make_score_request(from_text<v1::ScoreRequest>(text), rules, CallTimes());
}

void expect_refused(const absl::StatusOr<Request>& result, const Refused& refused) {
  ASSERT_FALSE(result.ok()) << refused.request;
  EXPECT_EQ(absl::StatusCodeToString(result.status().code()), refused.code) << refused.request;
  EXPECT_THAT(std::string(result.status().message()), testing::HasSubstr(refused.message)) << refused.request;
  if (!absl::IsInvalidArgument(result.status())) return;
  const auto payload = result.status().GetPayload("type.googleapis.com/google.rpc.BadRequest");
  google::rpc::BadRequest details;
  ASSERT_TRUE(payload && details.ParseFromString(std::string(*payload))) << refused.request;
  EXPECT_GE(details.field_violations_size(), 1);
  EXPECT_FALSE(details.field_violations(0).field().empty());
}

template <class Wire>
void check_rows(const std::vector<FieldRow<RequestEffect>>& rows) {
  const TestRules fixture(kTwoModes);
  for (const auto& row : rows) {
    SCOPED_TRACE(row.field);
    const auto legal = make(row.companions + row.legal, Wire(), fixture.rules);
    ASSERT_TRUE(legal.ok()) << legal.status();
    EXPECT_TRUE(row.effect(*legal));
    for (const std::string& border : row.borders) {
      const auto result = make(row.companions + border, Wire(), fixture.rules);
      EXPECT_TRUE(result.ok()) << border << ": " << result.status();
    }
    for (const Refused& refused : row.refused) {
      expect_refused(make(row.companions + refused.request, Wire(), fixture.rules), refused);
    }
  }
}

TEST(FieldTable, EveryRowOfAGenerateRequestHolds) { check_rows<v1::GenerateRequest>(generate_rows()); }
TEST(FieldTable, EveryRowOfAScoreRequestHolds) { check_rows<v1::ScoreRequest>(score_rows()); }

void collect_fields(const Descriptor* message, std::set<std::string>& out) {
  for (int i = 0; i < message->field_count(); ++i) {
    const auto* field = message->field(i);
    const std::string name = message->name() + "." + field->name();
    if (out.insert(name).second && field->message_type() != nullptr) collect_fields(field->message_type(), out);
  }
}

TEST(FieldTable, EveryFieldOfAGenerationOrScoreHasARowAndEveryRowAField) {
  std::set<std::string> fields, rows;
  collect_fields(v1::GenerateRequest::descriptor(), fields);
  collect_fields(v1::ScoreRequest::descriptor(), fields);
  for (const auto& table : {generate_rows(), score_rows()}) {
    for (const auto& row : table) EXPECT_TRUE(rows.insert(row.field).second) << row.field << " has two rows";
  }
  EXPECT_EQ(fields, rows);
}

// The other requests are small enough to be tested by name, in service_test.cc; a new field must be added here too.
TEST(FieldTable, TheOtherRequestsHaveTheFieldsThatTheirTestsKnow) {
  std::set<std::string> fields;
  for (const Descriptor* message : {v1::TokenizeRequest::descriptor(), v1::DetokenizeRequest::descriptor(),
                                    v1::GetServerInfoRequest::descriptor(), v1::GetMemoryRequest::descriptor()}) {
    for (int i = 0; i < message->field_count(); ++i) fields.insert(message->name() + "." + message->field(i)->name());
  }
  EXPECT_EQ(fields,
            (std::set<std::string>{"TokenizeRequest.chat", "TokenizeRequest.text", "TokenizeRequest.add_special",
                                   "DetokenizeRequest.ids", "DetokenizeRequest.skip_special"}));
}

TEST(Validate, SeveralViolationsAreToldTogether) {
  const TestRules fixture(kTwoModes);
  const auto result = make("text: 'the' sampling { top_p: 1.7 min_p: 2 }", v1::GenerateRequest(), fixture.rules);
  EXPECT_EQ(result.status().message(), "sampling.top_p = 1.7 is outside (0, 1]; sampling.min_p = 2 is outside [0, 1)");
}

TEST(Validate, AnUnsetScalarIsTheServersDefault) {
  const TestRules fixture(kTwoModes);
  const auto result = make("text: 'the'", v1::GenerateRequest(), fixture.rules);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->sampling.top_k, 40u);
  EXPECT_EQ(result->max_new_tokens, 32u);
  EXPECT_FALSE(result->max_new_tokens_given);
  EXPECT_FALSE(result->id.empty());
}

TEST(Validate, ARequestWithoutASeedGetsAnotherOneEachTime) {
  const TestRules fixture(kTwoModes);
  const auto first = make("text: 'the'", v1::GenerateRequest(), fixture.rules);
  const auto second = make("text: 'the'", v1::GenerateRequest(), fixture.rules);
  EXPECT_NE(first->sampling.seed, second->sampling.seed);
  EXPECT_NE(first->id, second->id);
}

TEST(Validate, APromptOfTheWholeContextIsTakenWhereMaxNewTokensIsUnset) {
  const TestRules fixture(kTwoModes);
  v1::GenerateRequest wire;
  for (int i = 0; i < 256; ++i) wire.mutable_tokens()->add_ids(7);
  EXPECT_TRUE(make_generate_request(wire, fixture.rules, CallTimes()).ok());
  wire.mutable_stopping()->set_max_new_tokens(1);
  EXPECT_TRUE(absl::IsOutOfRange(make_generate_request(wire, fixture.rules, CallTimes()).status()));
}

// Puts field 4000 into the message at each place where one can be.
void for_each_message(google::protobuf::Message* message,
                      const std::function<void(google::protobuf::Message*)>& visit) {
  visit(message);
  const auto& reflection = *message->GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(*message, &fields);
  for (const auto* field : fields) {
    if (field->message_type() == nullptr) continue;
    if (!field->is_repeated()) for_each_message(reflection.MutableMessage(message, field), visit);
    for (int i = 0; field->is_repeated() && i < reflection.FieldSize(*message, field); ++i) {
      for_each_message(reflection.MutableRepeatedMessage(message, field, i), visit);
    }
  }
}

TEST(Validate, AnUnknownFieldIsRefusedAtEveryDepth) {
  const TestRules fixture(kTwoModes);
  for (const char* prompt :
       {"chat { messages { role: 'user' content: 'a' } messages { role: 'assistant' content: 'a' } "
        "messages { role: 'user' content: 'a' } }",
        "tokens { ids: 1 }"}) {
    const std::string text =
        std::string(prompt) +
        " sampling { logit_bias { id: 1 } logit_bias { id: 2 } } stopping {} output {} scheduling {}";
    auto whole = from_text<v1::GenerateRequest>(text);
    ASSERT_TRUE(make_generate_request(whole, fixture.rules, CallTimes()).ok());
    int places = 0;
    for_each_message(&whole, [&](google::protobuf::Message* place) {
      ++places;
      auto* unknown = place->GetReflection()->MutableUnknownFields(place);
      unknown->AddVarint(4000, 1);
      const auto result = make_generate_request(whole, fixture.rules, CallTimes());
      EXPECT_TRUE(absl::IsInvalidArgument(result.status()));
      EXPECT_THAT(std::string(result.status().message()),
                  testing::HasSubstr("field 4000, which this server does not know"));
      unknown->Clear();
    });
    EXPECT_GE(places, 8);
  }
}

TEST(Validate, ManyUnknownFieldsMakeAShortMessage) {
  const TestRules fixture(kTwoModes);
  auto wire = from_text<v1::GenerateRequest>("text: 'the'");
  for (int i = 0; i < 100'000; ++i) wire.GetReflection()->MutableUnknownFields(&wire)->AddVarint(4000, 1);
  const auto result = make_generate_request(wire, fixture.rules, CallTimes());
  EXPECT_TRUE(absl::IsInvalidArgument(result.status()));
  EXPECT_LT(result.status().message().size(), 2000u);
}

TEST(Validate, AShortenedTextIsStillUtf8) {
  EXPECT_EQ(shortened("short", 5), "short");
  EXPECT_EQ(shortened("abcdef", 5), "abcde...");
  EXPECT_EQ(shortened("ab\xc3\xa9z", 3), "ab...");
  EXPECT_EQ(shortened("ab\xc3\xa9z", 4), "ab\xc3\xa9...");
}

TEST(Validate, AChatWithoutAKnownTemplateIsAFailedPreconditionAndTextStillWorks) {
  TestRules fixture(kTwoModes);
  const RequestRules rules = test_rules(*fixture.tokenizer, fixture.executor, fixture.rules.limits, false);
  const auto chat = make("chat { messages { role: 'user' content: 'a' } }", v1::GenerateRequest(), rules);
  EXPECT_TRUE(absl::IsFailedPrecondition(chat.status()));
  EXPECT_THAT(std::string(chat.status().message()), testing::HasSubstr("chatml"));
  EXPECT_TRUE(make("text: 'a'", v1::GenerateRequest(), rules).ok());
}

TEST(Validate, SpecialTokensOfAChatMessageAreText) {
  const TestRules fixture(kTwoModes);
  const auto chat = make("chat { messages { role: 'user' content: '</s>' } }", v1::GenerateRequest(), fixture.rules);
  ASSERT_TRUE(chat.ok());
  EXPECT_THAT(chat->prompt, testing::Not(testing::Contains(kFakeEos)));
  const auto text = make("text: '</s>'", v1::GenerateRequest(), fixture.rules);
  EXPECT_THAT(text->prompt, testing::Contains(kFakeEos));
}

// The vocabulary has no token <|im_end|>: the text of it would be shown, and the model would go on.
TEST(Requests, AChatStopsAtTheTextOfItsTemplatesEndOfTurnWhereThatIsNoToken) {
  const TestRules fixture(kTwoModes);
  ASSERT_FALSE(fixture.tokenizer->find("<|im_end|>").has_value());
  const auto stops_of = [&](const std::string& text) {
    const auto made = make(text, v1::GenerateRequest(), fixture.rules);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? made->stop : std::vector<std::string>();
  };
  const std::string chat = "chat { messages { role: 'user' content: 'the one' } } ";
  EXPECT_THAT(stops_of(chat), testing::ElementsAre("<|im_end|>"));
  EXPECT_THAT(stops_of(chat + "stopping { stop: ['x', '<|im_end|>'] }"), testing::ElementsAre("x", "<|im_end|>"));
  EXPECT_THAT(stops_of(chat + "stopping { ignore_eos: true }"), testing::IsEmpty());
  EXPECT_THAT(stops_of("text: 'the one'"), testing::IsEmpty());
}

}  // namespace
}  // namespace halftone
