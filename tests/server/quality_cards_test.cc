// Cards of a folder beside the modes that are served: which are taken, and what is said of the others.
#include "server/quality_cards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

QualityCard card_of(const std::string& mode, const std::string& digest, double kl_mean = 0.25) {
  QualityCard card;
  card.mode = mode;
  card.weights_digest = digest;
  card.kl_mean = kl_mean;
  return card;
}

class Cards : public testing::Test {
 protected:
  Cards() {
    for (const char* id : {"w4a16", "w4a16+kv8"}) {
      ModeFacts facts;
      facts.id = id;
      facts.weights_digest = "sha256:aa/w4";
      modes_.push_back(facts);
    }
  }
  void write(const std::string& name, const std::string& text) { std::ofstream(directory_.file(name)) << text; }
  QualityCards read() const { return read_quality_cards(directory_.path(), modes_); }

  TestDirectory directory_;
  std::vector<ModeFacts> modes_;
};

TEST_F(Cards, ACardBelongsToTheModeAndTheWeightsThatItNames) {
  ASSERT_TRUE(write_quality_card(card_of("w4a16+kv8", "sha256:aa/w4", 0.5), directory_.path()).ok());
  const QualityCards cards = read();
  ASSERT_EQ(cards.by_mode.size(), 2u);
  EXPECT_FALSE(cards.by_mode[0].has_value());
  ASSERT_TRUE(cards.by_mode[1].has_value());
  EXPECT_EQ(cards.by_mode[1]->kl_mean, 0.5);
  EXPECT_THAT(cards.ignored, IsEmpty());
}

TEST_F(Cards, ACardOfOtherWeightsIsIgnoredWithBothDigests) {
  write("other.json", quality_card_json(card_of("w4a16", "sha256:bb/w4")));
  const QualityCards cards = read();
  EXPECT_FALSE(cards.by_mode[0].has_value());
  EXPECT_THAT(cards.ignored, ElementsAre(AllOf(HasSubstr(directory_.file("other.json")), HasSubstr("weights_digest"),
                                               HasSubstr("sha256:bb/w4"), HasSubstr("sha256:aa/w4"))));
}

TEST_F(Cards, ACardOfAModeThatIsNotServedIsIgnoredByName) {
  write("other.json", quality_card_json(card_of("bf16", "sha256:aa/w4")));
  EXPECT_THAT(read().ignored, ElementsAre(AllOf(HasSubstr("other.json"), HasSubstr("mode is \"bf16\""))));
}

TEST_F(Cards, ADamagedCardIsOneLineAndTheOthersCount) {
  write("a.json", "{\"mode\": 3}");
  write("b.json", "not JSON at all");
  write("c.json", "");
  write("d.json", std::string(2 << 20, ' '));
  std::filesystem::create_directory(directory_.file("e.json"));
  std::string without = quality_card_json(card_of("w4a16", "sha256:aa/w4"));
  without.replace(without.find("kl_mean"), 7, "kl_mena");
  write("f.json", without);
  write("g.json", quality_card_json(card_of("w4a16", "sha256:aa/w4")));
  const QualityCards cards = read();
  EXPECT_THAT(cards.ignored,
              ElementsAre(AllOf(HasSubstr("a.json"), HasSubstr("mode")), HasSubstr("b.json"), HasSubstr("c.json"),
                          HasSubstr("d.json"), HasSubstr("e.json"), AllOf(HasSubstr("f.json"), HasSubstr("kl_mean"))));
  EXPECT_TRUE(cards.by_mode[0].has_value());
}

TEST_F(Cards, OfTwoCardsForOneModeTheFirstByNameCounts) {
  write("b.json", quality_card_json(card_of("w4a16", "sha256:aa/w4", 2)));
  write("a.json", quality_card_json(card_of("w4a16", "sha256:aa/w4", 1)));
  const QualityCards cards = read();
  ASSERT_TRUE(cards.by_mode[0].has_value());
  EXPECT_EQ(cards.by_mode[0]->kl_mean, 1);
  EXPECT_THAT(cards.ignored, ElementsAre(HasSubstr("b.json")));
}

TEST_F(Cards, OtherFilesAreNoCards) {
  write("table.csv", "mode,kl\n");
  write("plot.svg", "<svg/>");
  EXPECT_THAT(read().ignored, IsEmpty());
}

TEST_F(Cards, ADirectoryThatIsNotThereIsALine) {
  const QualityCards cards = read_quality_cards(directory_.file("missing"), modes_);
  EXPECT_EQ(cards.by_mode.size(), 2u);
  EXPECT_THAT(cards.ignored, ElementsAre(HasSubstr(directory_.file("missing"))));
}

}  // namespace
}  // namespace halftone
