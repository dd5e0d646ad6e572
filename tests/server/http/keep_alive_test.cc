// Several requests on one connection.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "server/http/http_server.h"
#include "tests/server/http/raw_client.h"

namespace halftone {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::chrono::seconds kLong{20};
constexpr const char* kScrape = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

class KeepAlive : public ::testing::Test {
 protected:
  KeepAlive() {
    config_.port = 0;
    config_.max_requests = 10;
  }

  int start() {
    auto server = HttpServer::start(config_, {[this] { return page_; }, [] { return Health::kServing; }});
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    return server_->port();
  }

  HttpConfig config_;
  std::string page_ = "page\n";
  std::unique_ptr<HttpServer> server_;
};

TEST_F(KeepAlive, AScraperMayComeAgain) {
  RawClient client(start());
  for (int i = 0; i < 5; ++i) {
    client.send(kScrape);
    const Answer answer = client.read_answer(kLong);
    EXPECT_EQ(answer.body, "page\n");
    EXPECT_THAT(answer.headers, Not(HasSubstr("Connection: close")));
  }
}

TEST_F(KeepAlive, TheLastRequestOfAConnectionIsToldSo) {
  RawClient client(start());
  for (int i = 1; i <= 10; ++i) {
    client.send(kScrape);
    const Answer answer = client.read_answer(kLong);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.headers.find("Connection: close") != std::string::npos, i == 10) << i;
  }
  bool hung_up = false;
  EXPECT_EQ(client.read_all(kLong, &hung_up), "");
  EXPECT_TRUE(hung_up);
}

TEST_F(KeepAlive, RequestsSentAheadAreAnsweredInTurnUpToTheLimit) {
  RawClient client(start());
  std::string requests;
  for (int i = 0; i < 50; ++i) requests += i % 2 == 0 ? kScrape : "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
  client.send(requests);
  const std::string bytes = client.read_all(kLong);
  int answers = 0, pages = 0;
  for (size_t at = bytes.find("HTTP/1.1 200"); at != std::string::npos; at = bytes.find("HTTP/1.1 200", at + 1)) {
    ++answers;
  }
  for (size_t at = bytes.find("\r\n\r\npage\n"); at != std::string::npos; at = bytes.find("\r\n\r\npage\n", at + 1)) {
    ++pages;
  }
  EXPECT_EQ(answers, 10);
  EXPECT_EQ(pages, 5);
}

TEST_F(KeepAlive, AnErrorEndsTheConnection) {
  const int port = start();
  for (const char* request : {"GET /nothing HTTP/1.1\r\n\r\n", "PUT /metrics HTTP/1.1\r\n\r\n", "rubbish\r\n\r\n",
                              "GET /metrics HTTP/2.0\r\n\r\n"}) {
    RawClient client(port);
    client.send(request);
    bool hung_up = false;
    const Answer answer = parse_answer(client.read_all(kLong, &hung_up));
    EXPECT_TRUE(hung_up) << request;
    EXPECT_GE(answer.status, 400) << request;
    EXPECT_THAT(answer.headers, HasSubstr("Connection: close\r\n")) << request;
  }
}

TEST_F(KeepAlive, AClientThatEndsItsSideHasTheWholePage) {
  page_ = std::string(1'000'000, 'p');
  const int port = start();
  for (const char* more : {"", "Connection: close\r\n"}) {
    RawClient client(port, false, 4096);
    client.send(std::string("GET /metrics HTTP/1.1\r\n") + more + "\r\n");
    client.end_sending();
    std::this_thread::sleep_for(milliseconds(20));
    EXPECT_EQ(client.read_answer(kLong).body.size(), page_.size()) << more;
  }
}

TEST_F(KeepAlive, AnIdleConnectionIsClosedInTime) {
  config_.idle_time = milliseconds(100);
  RawClient client(start());
  client.send(kScrape);
  EXPECT_EQ(client.read_answer(kLong).status, 200);
  bool hung_up = false;
  client.read_all(kLong, &hung_up);
  EXPECT_TRUE(hung_up);
}

TEST_F(KeepAlive, ALaterRequestHasNoMoreTimeThanTheFirst) {
  config_.request_time = milliseconds(200);
  RawClient client(start());
  client.send(std::string(kScrape) + "GET /metr");
  EXPECT_EQ(client.read_answer(kLong).status, 200);
  bool hung_up = false;
  client.read_all(kLong, &hung_up);
  EXPECT_TRUE(hung_up);
}

}  // namespace
}  // namespace halftone
