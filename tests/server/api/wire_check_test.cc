#include "server/api/wire_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "halftone/v1/inference.pb.h"

namespace halftone {
namespace {

using testing::HasSubstr;

std::string what_is_wrong(const std::string& bytes) {
  v1::GenerateRequest request;
  const absl::Status status = parse_message(bytes, &request);
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}

std::string field(char number, const std::string& content) {
  return std::string(1, static_cast<char>(number << 3 | 2)) + static_cast<char>(content.size()) + content;
}

TEST(ParseMessage, ReadsWhatProtobufWrites) {
  v1::GenerateRequest request, again;
  request.mutable_chat()->add_messages()->set_content("h\xc3\xa9 \xf0\x9f\x98\x80 and more than eight bytes");
  request.mutable_stopping()->add_stop_token_ids(300);
  request.mutable_sampling()->set_temperature(0.5);
  ASSERT_TRUE(parse_message(request.SerializeAsString(), &again).ok());
  EXPECT_EQ(again.SerializeAsString(), request.SerializeAsString());
  EXPECT_TRUE(parse_message("", &again).ok());
}

TEST(ParseMessage, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(what_is_wrong(field(2, "ab\xff")),
            "the message is not a GenerateRequest: text is not UTF-8 (byte 2 of it)");
  EXPECT_THAT(what_is_wrong(field(1, field(1, "") + field(1, field(2, "\xed\xa0\x80")))),
              HasSubstr("chat.messages[1].content is not UTF-8 (byte 0 of it)"));
  EXPECT_THAT(what_is_wrong("\x12\x7fshort"), HasSubstr("text begins at byte 2 and reaches beyond byte 7"));
  EXPECT_THAT(what_is_wrong(std::string(11, '\xff')), HasSubstr("a field's number that does not end"));
  EXPECT_THAT(what_is_wrong(std::string("\x02\x00", 2)), HasSubstr("number is out of range"));
  EXPECT_THAT(what_is_wrong("\x17"), HasSubstr("text has wire type 7, which does not exist"));
  EXPECT_THAT(what_is_wrong("\x1b"), HasSubstr("tokens has a group 3 that does not end"));
  EXPECT_THAT(what_is_wrong("\x1c"), HasSubstr("ends a group 3 that did not begin"));
  EXPECT_THAT(what_is_wrong(field(3, field(1, "\xff"))), HasSubstr("tokens.ids has a number that does not end"));
}

TEST(ParseMessage, BoundsDepthAndParts) {
  EXPECT_THAT(what_is_wrong(std::string(100'000, '\x1b')), HasSubstr("is nested deeper than 32 times"));
  std::string empty_messages;
  for (int i = 0; i < 466'026; ++i) empty_messages += std::string("\x0a\x00", 2);
  v1::Chat chat;
  EXPECT_THAT(std::string(parse_message(empty_messages, &chat).message()),
              HasSubstr("messages[65536] is one of more than 65536 strings and messages"));
}

// Whatever it refuses protobuf would refuse or nobody needs, and what it takes protobuf takes.
TEST(ParseMessage, AgreesWithProtobufOnDamagedMessages) {
  std::mt19937 random(3);
  v1::GenerateRequest request;
  request.mutable_chat()->add_messages()->set_content("the \xe2\x82\xac one");
  request.mutable_stopping()->add_stop("\xf4\x8f\xbf\xbf");
  request.mutable_stopping()->add_stop_token_ids(70000);
  request.mutable_sampling()->set_temperature(2);
  const std::string whole = request.SerializeAsString();
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = whole;
    for (int k = 0; k < 2; ++k) bytes[random() % bytes.size()] = static_cast<char>(random());
    v1::GenerateRequest ours, theirs;
    const absl::Status status = parse_message(bytes, &ours);
    const bool read = theirs.ParseFromString(bytes);
    // Protobuf drops the upper bits of a field's number.
    const bool stricter = status.message().find("number is out of range") != std::string::npos;
    EXPECT_TRUE(status.ok() == read || stricter) << testing::PrintToString(bytes) << status;
  }
}

}  // namespace
}  // namespace halftone
