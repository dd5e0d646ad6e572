#include "client/command/json.h"

#include <gtest/gtest.h>

namespace halftone {
namespace {

TEST(Quoted, ShowsWholeCharactersAndSpellsOutTheRest) {
  EXPECT_EQ(quoted("a\"b\\\n\t\x1b"), "\"a\\\"b\\\\\\n\\t\\x1b\"");
  EXPECT_EQ(quoted("h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"), "\"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
  EXPECT_EQ(quoted("\xf0\x9f"), "\"\\xf0\\x9f\"") << "half a character";
  EXPECT_EQ(quoted("\x98\x80"), "\"\\x98\\x80\"") << "the other half";
  EXPECT_EQ(quoted("\xc3\xa9\xc3"), "\"\xc3\xa9\\xc3\"");
  EXPECT_EQ(quoted("\xed\xa0\x80\xc0\x80\xff"), "\"\\xed\\xa0\\x80\\xc0\\x80\\xff\"") << "no characters at all";
  EXPECT_EQ(quoted("\xc2\x9b"), "\"\\xc2\\x9b\"") << "a control character that terminals obey";
}

}  // namespace
}  // namespace halftone
