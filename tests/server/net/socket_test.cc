#include "server/net/socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/http/raw_client.h"

namespace halftone {
namespace {

TEST(Listening, FourZerosAreIpv4AloneAndTwoColonsAreBoth) {
  const auto ipv4 = listen_on("0.0.0.0", 0);
  ASSERT_TRUE(ipv4.ok()) << ipv4.status();
  EXPECT_TRUE(RawClient(port_of(*ipv4)).connected());
  EXPECT_FALSE(RawClient(port_of(*ipv4), true).connected());
  const auto both = listen_on("::", 0);
  if (!both.ok()) GTEST_SKIP() << "this machine has no IPv6: " << both.status();
  EXPECT_TRUE(RawClient(port_of(*both)).connected());
  EXPECT_TRUE(RawClient(port_of(*both), true).connected());
}

TEST(Listening, ANameIsEveryAddressThatItStandsForOnOnePort) {
  const auto sockets = listen_on_all("localhost", 0);
  ASSERT_TRUE(sockets.ok()) << sockets.status();
  for (const Socket& socket : *sockets) EXPECT_EQ(port_of(socket), port_of(sockets->front()));
  EXPECT_TRUE(RawClient(port_of(sockets->front())).connected());
}

TEST(Listening, APortThatIsTakenIsAnErrorThatNamesIt) {
  const auto first = listen_on("127.0.0.1", 0);
  ASSERT_TRUE(first.ok());
  const auto second = listen_on("127.0.0.1", port_of(*first));
  EXPECT_THAT(std::string(second.status().message()), testing::HasSubstr(std::to_string(port_of(*first))));
}

TEST(Listening, EndpointsOfIpv6HaveBrackets) {
  EXPECT_EQ(endpoint_text("127.0.0.1", 80), "127.0.0.1:80");
  EXPECT_EQ(endpoint_text("::1", 80), "[::1]:80");
  EXPECT_EQ(endpoint_text("[::1]", 80), "[::1]:80");
  EXPECT_EQ(endpoint_text("localhost", 80), "localhost:80");
}

}  // namespace
}  // namespace halftone
