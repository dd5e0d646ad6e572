#include "server/net/socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "server/net/descriptors.h"
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

TEST(Descriptors, EachPortHasItsShare) {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  const ConnectionShares small = share_descriptors({10, 10});
  EXPECT_EQ(small.grpc, 10u);
  EXPECT_EQ(small.http, 10u);
  const ConnectionShares all = share_descriptors({size_t{1} << 40, size_t{1} << 40});
  EXPECT_GT(all.grpc, 10u);
  EXPECT_LT(3 * all.grpc + all.http, limit.rlim_max);
  rlimit now = {};
  getrlimit(RLIMIT_NOFILE, &now);
  EXPECT_EQ(now.rlim_cur, limit.rlim_max);
}

}  // namespace
}  // namespace halftone
