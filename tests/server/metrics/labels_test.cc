#include "server/metrics/labels.h"

#include <gtest/gtest.h>

namespace halftone {
namespace {

TEST(LabelText, KeepsWhatIsUtf8) {
  for (const char* text :
       {"", "w4a16+kv8", "caf\xC3\xA9", "\xE6\x97\xA5\xE6\x9C\xAC", "\xF0\x9F\x98\x80", "\xEE\x80\x80"}) {
    EXPECT_EQ(label_text(text), text);
  }
}

TEST(LabelText, ReplacesEveryForeignByteOfWhatIsNot) {
  EXPECT_EQ(label_text("a\xFF"
                       "b"),
            "a?b");
  EXPECT_EQ(label_text("\xC3\xA9 \xC3"), "?? ?");     // cut in the middle
  EXPECT_EQ(label_text("\xC0\x80"), "??");            // overlong
  EXPECT_EQ(label_text("\xE0\x80\x80"), "???");       // overlong
  EXPECT_EQ(label_text("\xED\xA0\x80"), "???");       // a surrogate
  EXPECT_EQ(label_text("\xF4\x90\x80\x80"), "????");  // beyond the last code point
  EXPECT_EQ(label_text("\x80"), "?");
}

}  // namespace
}  // namespace halftone
