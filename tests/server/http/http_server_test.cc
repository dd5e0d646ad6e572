#include "server/http/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/http/raw_client.h"

namespace halftone {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kPage = "# HELP llm_x_total Things.\n# TYPE llm_x_total counter\nllm_x_total 1\n";

HttpConfig any_port() {
  HttpConfig config;
  config.port = 0;
  return config;
}

class HttpServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    HttpContent content;
    content.metrics = [] { return std::string(kPage); };
    content.health = [this] { return health_.load(); };
    auto server = HttpServer::start(any_port(), content);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  int port() const { return server_->port(); }

  std::atomic<Health> health_{Health::kServing};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnyFreePortIsReadable) {
  EXPECT_GT(port(), 0);
  EXPECT_LT(port(), 65536);
}

TEST_F(HttpServerTest, MetricsComeAsTextExposition) {
  const Answer answer = ask(port(), "GET", "/metrics");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, kPage);
  EXPECT_THAT(answer.headers, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(answer.headers, HasSubstr("Content-Length: " + std::to_string(answer.body.size()) + "\r\n"));
  EXPECT_THAT(answer.headers, HasSubstr("Connection: close\r\n"));
}

TEST_F(HttpServerTest, AnAbsoluteTargetIsItsPath) {
  EXPECT_EQ(ask(port(), "GET", "http://localhost:9464/metrics?name=x").body, kPage);
  EXPECT_EQ(ask(port(), "GET", "http://localhost").status, 200);
  EXPECT_EQ(ask(port(), "GET", "https://localhost/metrics").status, 404);
}

TEST_F(HttpServerTest, AQueryOrAnOldProtocolMakesNoDifference) {
  EXPECT_EQ(ask(port(), "GET", "/metrics?name=x").body, kPage);
  RawClient client(port());
  client.send("GET /metrics HTTP/1.0\r\n\r\n");
  EXPECT_EQ(parse_answer(client.read_all(std::chrono::seconds(20))).body, kPage);
}

TEST_F(HttpServerTest, PrometheusMayAskForCompression) {
  const Answer answer = ask(port(), "GET", "/metrics", "Accept-Encoding: gzip\r\n");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.headers, HasSubstr("Content-Encoding: gzip\r\n"));
  EXPECT_EQ(answer.body.substr(0, 2), "\x1F\x8B");
  for (const char* other : {"", "Accept-Encoding: identity\r\n", "Accept-Encoding: gzip;q=0, br\r\n"}) {
    EXPECT_EQ(ask(port(), "GET", "/metrics", other).body, kPage) << other;
  }
}

TEST_F(HttpServerTest, HealthFollowsTheServer) {
  EXPECT_EQ(ask(port(), "GET", "/healthz").status, 200);
  EXPECT_EQ(ask(port(), "GET", "/healthz").body, "ok\n");
  health_ = Health::kDraining;
  EXPECT_EQ(ask(port(), "GET", "/healthz").status, 503);
  EXPECT_EQ(ask(port(), "GET", "/healthz").body, "draining\n");
  health_ = Health::kLoading;
  EXPECT_EQ(ask(port(), "GET", "/healthz").status, 503);
  EXPECT_EQ(ask(port(), "GET", "/healthz").body, "loading\n");
}

TEST_F(HttpServerTest, TheFirstPageNamesTheOthers) {
  const Answer answer = ask(port(), "GET", "/");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, HasSubstr("/metrics"));
  EXPECT_THAT(answer.body, HasSubstr("/healthz"));
}

TEST_F(HttpServerTest, AHeadHasNoBody) {
  const Answer answer = ask(port(), "HEAD", "/metrics");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "");
  EXPECT_THAT(answer.headers, HasSubstr("version=0.0.4"));
}

TEST_F(HttpServerTest, OtherPathsAreNotFound) {
  for (const char* path : {"/metric", "/metrics/", "//", "/../etc/passwd", "/%2e%2e/etc/passwd", "/healthz%00", "*"}) {
    EXPECT_EQ(ask(port(), "GET", path).status, 404) << path;
  }
}

TEST_F(HttpServerTest, OtherMethodsAreNotAllowed) {
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"}) {
    const Answer answer = ask(port(), method, "/metrics", "Content-Length: 0\r\n");
    EXPECT_EQ(answer.status, 405) << method;
    EXPECT_THAT(answer.headers, HasSubstr("Allow: GET, HEAD\r\n")) << method;
    EXPECT_THAT(answer.body, Not(HasSubstr("llm_x_total"))) << method;
  }
}

TEST_F(HttpServerTest, ManyClientsAtOnceAllGetTheirAnswer) {
  std::atomic<int> good{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 16; ++i) {
    clients.emplace_back([&] {
      for (int round = 0; round < 20; ++round) good += ask(port(), "GET", "/metrics").body == kPage;
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(good, 16 * 20);
}

TEST_F(HttpServerTest, AfterStopNobodyListens) {
  const int old_port = port();
  server_->stop();
  server_->stop();
  server_.reset();
  EXPECT_FALSE(RawClient(old_port).connected());
}

TEST_F(HttpServerTest, APortThatWasJustLeftCanBeHadAgain) {
  HttpConfig config = any_port();
  config.port = port();
  EXPECT_EQ(ask(port(), "GET", "/metrics").status, 200);
  server_.reset();
  const auto again = HttpServer::start(config, {[] { return ""; }, [] { return Health::kServing; }});
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ((*again)->port(), config.port);
}

TEST_F(HttpServerTest, ATakenPortIsAnErrorThatNamesIt) {
  HttpConfig config;
  config.port = port();
  for (const char* address : {"127.0.0.1", "0.0.0.0"}) {
    config.address = address;
    const auto second = HttpServer::start(config, {[] { return ""; }, [] { return Health::kServing; }});
    ASSERT_FALSE(second.ok()) << address;
    EXPECT_THAT(std::string(second.status().message()), HasSubstr(std::string(address) + ":" + std::to_string(port())));
    EXPECT_THAT(std::string(second.status().message()), HasSubstr("Address already in use"));
  }
}

TEST(HttpServerStart, WhatIsNoAddressIsRefused) {
  const HttpContent content = {[] { return ""; }, [] { return Health::kServing; }};
  HttpConfig config = any_port();
  config.address = "not an address";
  EXPECT_EQ(HttpServer::start(config, content).status().code(), absl::StatusCode::kInvalidArgument);
  config.address = "192.0.2.1";  // documentation's: nobody has it
  EXPECT_THAT(std::string(HttpServer::start(config, content).status().message()), HasSubstr("192.0.2.1:0"));
  config = HttpConfig{};
  config.port = 65536;
  EXPECT_EQ(HttpServer::start(config, content).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(HttpServerStart, ListensOnIPv6AndOnNames) {
  const HttpContent content = {[] { return kPage; }, [] { return Health::kServing; }};
  HttpConfig config = any_port();
  config.address = "localhost";
  ASSERT_TRUE(HttpServer::start(config, content).ok());
  config.address = "[::1]";
  const auto server = HttpServer::start(config, content);
  if (!server.ok()) GTEST_SKIP() << "this machine has no IPv6: " << server.status();
  RawClient client((*server)->port(), /*ipv6=*/true);
  client.send("GET /metrics HTTP/1.1\r\n\r\n");
  EXPECT_EQ(client.read_answer(std::chrono::seconds(20)).body, kPage);
}

TEST(HttpServerStart, ANameIsServedOnEveryAddressThatItStandsFor) {
  HttpConfig config = any_port();
  config.address = "localhost";
  const auto server = HttpServer::start(config, {[] { return kPage; }, [] { return Health::kServing; }});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(ask((*server)->port(), "GET", "/healthz").status, 200);
}

}  // namespace
}  // namespace halftone
