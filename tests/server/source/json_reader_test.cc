#include "server/source/json_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "server/text/clean_text.h"

namespace halftone {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string error_of(std::string_view text) {
  return std::string(parse_json_object(text, "f.json").status().message());
}

std::string nested(int depth, char open, char close) { return std::string(depth, open) + std::string(depth, close); }

TEST(JsonReader, EveryKindOfValueIsRead) {
  const std::string text = R"({"a": [1, -2, 3.5, 18446744073709551615, true, false, null, "t\u00e9\"]"],)"
                           R"( "b": {"c": {}, "d": [[]], "e": [{"f": 1}, {"g": [2, {"h": 3}]}]}, "": ""})";
  absl::StatusOr<json> value = parse_json_object(text, "f.json");
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(*value, json::parse(text));
}

TEST(JsonReader, ErrorsSayWhere) {
  EXPECT_THAT(error_of(""), HasSubstr("f.json: not valid JSON at line 1, column 1: "));
  EXPECT_THAT(error_of("{\n  \"a\": 1,\n  \"b\" 2\n}"), HasSubstr("not valid JSON at line 3, column 7: "));
  EXPECT_THAT(error_of("{} x"), HasSubstr("not valid JSON at line 1, column 4: "));
  EXPECT_THAT(error_of("{\"a\": \"\xff\"}"), HasSubstr("not valid JSON at line 1, column 8: "));
  EXPECT_THAT(error_of("{\"a\": 1e999}"), HasSubstr("not valid JSON at line 1, column "));
  EXPECT_THAT(error_of("[1]"), HasSubstr("f.json: expected a JSON object"));
  const std::string loud = error_of("{\"a\": \"\x1b[2J\n" + std::string(100000, 'x'));
  EXPECT_EQ(clean_text(loud, 400), loud);
}

TEST(JsonReader, DepthIsLimitedWhereverItStands) {
  const std::string inside = "{\"a\": " + nested(kMaxJsonDepth - 1, '[', ']') + "}";
  EXPECT_TRUE(parse_json_object(inside, "f.json").ok());
  EXPECT_THAT(error_of("{\"a\":\n" + nested(kMaxJsonDepth, '[', ']') + "}"),
              HasSubstr("f.json: nested deeper than 128 levels at line 2, column 128"));
  EXPECT_THAT(error_of(std::string(200 << 10, '[')), HasSubstr("nested deeper than 128 levels"));
  std::string objects;
  for (int i = 0; i < 50000; ++i) objects += "{\"a\":";
  EXPECT_THAT(error_of(objects), HasSubstr("nested deeper than 128 levels"));
  const std::string text = "{\"a\": \"\\\"" + std::string(1000, '[') + "\", \"b\": [" + std::string(200, '{') + "]}";
  EXPECT_THAT(error_of(text), HasSubstr("nested deeper")) << "brackets in a text do not count, those behind it do";
  EXPECT_TRUE(parse_json_object("{\"a\": \"" + std::string(1000, '[') + "\"}", "f.json").ok());
}

TEST(JsonReader, TheNumberOfValuesIsLimited) {
  for (const char* text : {R"({"a": [1, 2, 3]})", R"({"a": {"b": {"c": {}}, "d": 1}})", R"({"a": [[], {}, "x"]})"}) {
    EXPECT_TRUE(parse_json_object(text, "f.json", RepeatedKey::kRefused, 5).ok()) << text;
    EXPECT_EQ(parse_json_object(text, "f.json", RepeatedKey::kRefused, 4).status().message(),
              "f.json: more than 4 values");
  }
}

TEST(JsonReader, WhatPythonWritesForNumbersThatAreNoneIsRead) {
  absl::StatusOr<json> value = parse_json_object(
      R"({"n": NaN, "NaN": [Infinity, "Infinity", -Infinity, -1, "\"NaN"], "i": {"-Infinity": -Infinity}})", "f.json");
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_TRUE(std::isnan(value->at("n").get<double>()));
  const json& list = value->at("NaN");
  EXPECT_EQ(list[0].get<double>(), INFINITY);
  EXPECT_EQ(list[1], "Infinity");
  EXPECT_EQ(list[2].get<double>(), -INFINITY);
  EXPECT_EQ(list[3], -1);
  EXPECT_EQ(list[4], "\"NaN");
  EXPECT_EQ(value->at("i").at("-Infinity").get<double>(), -INFINITY);
  for (const char* bad :
       {"{NaN: 1}", "{\"a\": NaNs}", "{\"a\": xNaN}", "{\"a\": --Infinity}", "{\"a\": Inf}", "{\"a\": nan}"}) {
    EXPECT_THAT(error_of(bad), HasSubstr("not valid JSON at line 1")) << bad;
  }
}

TEST(JsonReader, AKeyGivenTwiceIsRefusedOrTheLastCounts) {
  const char* text = R"({"a": {"k": [1, 2], "k": {"x": 3}}, "b": 1})";
  EXPECT_THAT(error_of(text), HasSubstr("f.json: the key \"k\" is there twice"));
  absl::StatusOr<json> value = parse_json_object(text, "f.json", RepeatedKey::kLastCounts);
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(*value, json::parse(R"({"a": {"k": {"x": 3}}, "b": 1})"));
}

}  // namespace
}  // namespace halftone
