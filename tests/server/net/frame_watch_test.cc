#include "server/net/frame_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/server/net/frames.h"

namespace halftone {
namespace {

using std::chrono::seconds;

const FrameWatch::Time kStart = {};

FrameLimits small_limits() {
  FrameLimits limits;
  limits.header_block_bytes = 100;
  limits.continuations = 3;
  limits.frame_bytes = 100;
  limits.streams = 4;
  limits.request_bytes = 6000;
  return limits;
}

class Watching : public testing::Test {
 protected:
  std::string send(const std::string& bytes, FrameWatch::Time now = kStart) {
    const char* broken = watch_.from_client(bytes, now);
    return broken != nullptr ? broken : "";
  }
  void SetUp() override { ASSERT_EQ(send(greeting()), ""); }

  FrameWatch watch_{small_limits()};
  uint32_t watch_id_ = 0;
};

TEST_F(Watching, WhatIsNotHttp2EndsAtItsFirstBytes) {
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("\x16\x03\x01\x02"), std::string("PRI * HTTP/1.1"),
        std::string(1, '\0'), greeting().substr(0, 24) + frame(kPingFrame, 0, 0, "12345678")}) {
    FrameWatch fresh{small_limits()};
    EXPECT_NE(fresh.from_client(bytes, kStart), nullptr) << bytes;
    EXPECT_FALSE(fresh.greeted());
  }
}

TEST_F(Watching, OrdinaryCallsPassHoweverTheyAreCutUp) {
  for (const size_t step : {1, 7, 1000}) {
    for (uint32_t id = 1; id < 40; id += 2) {
      const uint32_t stream = watch_id_ + id;
      const std::string call = frame(kHeadersFrame, kEndHeadersFlag, stream, std::string(60, 'h')) +
                               frame(kDataFrame, kEndStreamFlag, stream, "x") + frame(kWindowFrame, 0, 0, "1234") +
                               frame(kPingFrame, 1, 0, "12345678");
      for (size_t at = 0; at < call.size(); at += step) ASSERT_EQ(send(call.substr(at, step)), "");
      EXPECT_EQ(watch_.streams(), 1u);
      watch_.from_server(frame(kHeadersFrame, kEndHeadersFlag | kEndStreamFlag, stream, "ok"));
    }
    watch_id_ += 100;
  }
  EXPECT_EQ(watch_.streams(), 0u);
}

TEST_F(Watching, AHeaderBlockHasAnEnd) {
  EXPECT_EQ(send(frame(kHeadersFrame, 0, 1, std::string(60, 'h'))), "");
  EXPECT_EQ(watch_.held(), 60u) << "gRPC gets it when it is whole";
  EXPECT_EQ(send(frame(kContinuationFrame, 0, 1, std::string(30, 'h'))), "");
  EXPECT_EQ(watch_.held(), 60u + 9 + 30);
  EXPECT_THAT(send(frame(kContinuationFrame, 0, 1, std::string(11, 'h')).substr(0, 9)), testing::HasSubstr("too long"))
      << "as soon as it says so";
}

TEST_F(Watching, AHeaderBlockIsNotManyCrumbs) {
  std::string crumbs = frame(kHeadersFrame, 0, 1, "");
  for (int i = 0; i < 4; ++i) crumbs += frame(kContinuationFrame, 0, 1, "");
  EXPECT_THAT(send(crumbs), testing::HasSubstr("too many CONTINUATION"));
}

TEST_F(Watching, AWholeHeaderBlockIsLetThrough) {
  EXPECT_EQ(send(frame(kHeadersFrame, kEndStreamFlag, 1, std::string(60, 'h'))), "");
  EXPECT_EQ(send(frame(kContinuationFrame, kEndHeadersFlag, 1, "")), "");
  EXPECT_EQ(watch_.held(), 0u);
  EXPECT_EQ(send(frame(kHeadersFrame, kEndHeadersFlag, 3, "")), "");
  EXPECT_EQ(watch_.held(), 0u);
}

TEST_F(Watching, HeaderBlocksAreOfOnePiece) {
  EXPECT_NE(send(frame(kContinuationFrame, kEndHeadersFlag, 1, "x")), "");
  FrameWatch other{small_limits()};
  EXPECT_NE(other.from_client(greeting() + frame(kHeadersFrame, 0, 1, "x") + frame(kDataFrame, 0, 1, "x"), kStart),
            nullptr);
  FrameWatch third{small_limits()};
  EXPECT_NE(
      third.from_client(greeting() + frame(kHeadersFrame, 0, 1, "x") + frame(kContinuationFrame, 4, 3, "x"), kStart),
      nullptr);
}

TEST_F(Watching, OpenStreamsAreCountedAndEndEitherWay) {
  for (uint32_t id = 1; id <= 7; id += 2) EXPECT_EQ(send(frame(kHeadersFrame, kEndHeadersFlag, id, "h")), "");
  EXPECT_EQ(watch_.streams(), 4u);
  EXPECT_EQ(send(frame(kResetFrame, 0, 1, "0000")), "");
  watch_.from_server(frame(kHeadersFrame, kEndHeadersFlag, 3, "start"));
  watch_.from_server(frame(kDataFrame, 0, 3, "part"));
  EXPECT_EQ(watch_.streams(), 3u);
  watch_.from_server(frame(kHeadersFrame, kEndHeadersFlag | kEndStreamFlag, 3, "end"));
  watch_.from_server(frame(kResetFrame, 0, 5, "0000"));
  EXPECT_EQ(watch_.streams(), 1u);
  for (uint32_t id = 9; id <= 13; id += 2) EXPECT_EQ(send(frame(kHeadersFrame, kEndHeadersFlag, id, "h")), "");
  EXPECT_THAT(send(frame(kHeadersFrame, kEndHeadersFlag, 15, "h")), testing::HasSubstr("too many streams"));
}

TEST_F(Watching, RequestsAreWeighedUntilTheyAreAnswered) {
  EXPECT_EQ(send(frame(kHeadersFrame, kEndHeadersFlag, 1, "h") + frame(kDataFrame, 0, 1, std::string(5000, 'd'))), "");
  EXPECT_EQ(watch_.request_bytes(), 5000u);
  EXPECT_FALSE(watch_.has_unfinished_request(kStart));
  EXPECT_TRUE(watch_.has_unfinished_request(kStart + seconds(1)));
  EXPECT_EQ(send(frame(kDataFrame, kEndStreamFlag, 1, "d")), "");
  EXPECT_FALSE(watch_.has_unfinished_request(kStart + seconds(1)));
  EXPECT_EQ(watch_.request_bytes(), 5001u);
  watch_.from_server(frame(kHeadersFrame, kEndHeadersFlag | kEndStreamFlag, 1, "end"));
  EXPECT_EQ(watch_.request_bytes(), 0u);
}

TEST_F(Watching, ARequestHasAnEndHoweverMuchItsMessageClaims) {
  EXPECT_EQ(send(frame(kHeadersFrame, kEndHeadersFlag, 1, "h") + frame(kDataFrame, 0, 1, std::string(6000, 'd'))), "");
  EXPECT_THAT(send(frame(kDataFrame, 0, 1, "d")), testing::HasSubstr("a request is too long"));
}

TEST_F(Watching, FramesThatMakeWorkAreDear) {
  (void)watch_.take_cost();
  EXPECT_EQ(send(frame(kWindowFrame, 0, 0, "1234")), "");
  const uint32_t plain = watch_.take_cost();
  for (const std::string& dear :
       {frame(kPingFrame, 0, 0, "12345678"), frame(kSettingsFrame, 0, 0, ""), frame(kResetFrame, 0, 1, "0000"),
        frame(kDataFrame, 0, 1, ""), frame(2, 0, 1, "12345"), frame(99, 0, 0, "?")}) {
    EXPECT_EQ(send(dear), "");
    EXPECT_GE(watch_.take_cost(), 10 * plain);
  }
}

TEST_F(Watching, LongFramesThatAreNotDataAreRefused) { EXPECT_NE(send(frame(99, 0, 0, std::string(101, '?'))), ""); }

}  // namespace
}  // namespace halftone
