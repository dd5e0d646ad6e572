#include "server/text/clean_text.h"

#include <gtest/gtest.h>

#include "server/text/spelling.h"
#include "server/text/utf8_stream.h"

namespace halftone {
namespace {

#define FFFD "\xef\xbf\xbd"

TEST(CleanText, WhatIsFitToBeShownStays) {
  for (const char* text : {"", "SmolLM2 135M", "Ünïcödé 模型 🙂", "a\"b'c\\d"})
    EXPECT_EQ(clean_text(text), text);
}

TEST(CleanText, BrokenBytesAndWhatMovesTheCursorAreReplaced) {
  EXPECT_EQ(clean_text("a\xff"
                       "b\xe2\x96"),
            "a" FFFD "b" FFFD);
  EXPECT_EQ(clean_text("one\ntwo\r\t\x1b[2J\x7f"), "one two   [2J ");
  EXPECT_EQ(clean_text(std::string("a\0b", 3)), "a b");
  EXPECT_EQ(clean_text("\xc2\x9b"         // CSI
                       "x\xe2\x80\xa8"    // a line's end
                       "y\xe2\x80\xae"    // right to left
                       "z\xef\xbb\xbf"),  // a byte order mark
            FFFD "x" FFFD "y" FFFD "z" FFFD);
}

TEST(CleanText, TheCutLiesBetweenCharacters) {
  EXPECT_EQ(clean_text(std::string(1 << 20, 'x')), std::string(200, 'x'));
  const std::string smiles = "a🙂🙂🙂";
  for (size_t limit = 0; limit <= smiles.size(); ++limit) {
    const std::string cut = clean_text(smiles, limit);
    EXPECT_LE(cut.size(), limit);
    EXPECT_GT(cut.size() + 4, limit);
    EXPECT_EQ(smiles.substr(0, cut.size()), cut);
  }
  EXPECT_EQ(clean_text(std::string(300, '\xff')).size(), 198u) << "the limit is of what comes out";
}

TEST(CleanText, MessagesShowWhatStoodThere) {
  EXPECT_EQ(shown("a\n\x1b\"\xff"), "a\\n\\x1b\\\"" FFFD);
  EXPECT_EQ(shown(std::string(1 << 20, 'x')).size(), 200u);
  const std::string piece = quoted_piece(std::string(79, 'x') + "é");
  EXPECT_EQ(piece, "\"" + std::string(79, 'x') + "\"");
  EXPECT_EQ(utf8_with_replacement(piece), piece);
}

}  // namespace
}  // namespace halftone
