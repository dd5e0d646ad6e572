// Whatever a client sends, or does not send, others get their answers and stop() returns.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/http/http_server.h"
#include "tests/server/http/raw_client.h"

namespace halftone {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

// Far more than any limit of the server below, far less than a test's patience.
constexpr seconds kLong{20};

class HostileClients : public ::testing::Test {
 protected:
  void SetUp() override {
    HttpConfig config;
    config.port = 0;
    config.request_time = milliseconds(400);
    config.response_time = milliseconds(400);
    auto server = HttpServer::start(config, {[this] { return page_; }, [] { return Health::kServing; }});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  int port() const { return server_->port(); }

  void expect_alive() {
    const Answer answer = ask(port(), "GET", "/healthz");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "ok\n");
  }

  // Sends, and expects the server to hang up by itself.
  Answer provoke(const std::string& bytes) {
    RawClient client(port());
    EXPECT_TRUE(client.connected());
    client.send(bytes);
    bool hung_up = false;
    const std::string answer = client.read_all(kLong, &hung_up);
    EXPECT_TRUE(hung_up);
    return parse_answer(answer);
  }

  std::string page_ = "page\n";
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HostileClients, GarbageIsNoRequest) {
  for (const std::string& garbage :
       {std::string("\r\n\r\n"), std::string("hello\r\n\r\n"), std::string("GET\r\n\r\n"),
        std::string("GET /metrics\r\n\r\n"), std::string("GET /metrics HTTP/9.9\r\n\r\n"),
        std::string("BREW /metrics HTTP/1.1\r\n\r\n"), std::string(64, '\0') + "\r\n\r\n",
        std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), std::string("\x16\x03\x01\x02\x00\x01\r\n\r\n", 10)}) {
    const int status = provoke(garbage).status;
    EXPECT_TRUE(status == 0 || (status >= 400 && status < 500) || status == 505) << status << " for " << garbage;
  }
  expect_alive();
}

TEST_F(HostileClients, RandomBytesHarmNothing) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::string bytes = round % 2 == 0 ? "" : "GET /metrics HTTP/1.1\r\nRange: ";
    const size_t size = random() % 600;
    for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(random() % (round % 3 == 0 ? 256 : 128));
    RawClient client(port());
    client.send(bytes + "\r\n\r\n");
    client.end_sending();
    client.read_all(kLong);
  }
  expect_alive();
}

TEST_F(HostileClients, AHeadWithoutEndIsCutAtTheLimit) {
  for (const char* start : {"GET /metrics HTTP/1.1\r\nX: ", "GET /", "", "POST / HTTP/1.1\r\n"}) {
    RawClient client(port());
    ASSERT_TRUE(client.send(start));
    const std::string block(4096, 'x');
    int blocks = 0;
    while (blocks < 10000 && client.send(block)) ++blocks;  // 40 MB, unless the server hangs up
    EXPECT_LT(blocks, 10000) << start;
  }
  expect_alive();
}

TEST_F(HostileClients, ManyHeadersAreCutAtTheLimit) {
  std::string request = "GET /metrics HTTP/1.1\r\n";
  for (int i = 0; i < 1000; ++i) request += "X-" + std::to_string(i) + ": y\r\n";
  EXPECT_EQ(provoke(request + "\r\n").status, 431);
  expect_alive();
}

TEST_F(HostileClients, ARangeAskedForAThousandTimesMultipliesNothing) {
  page_ = std::string(100'000, 'p');
  std::string ranges = "bytes=0-";
  for (int i = 0; i < 2000; ++i) ranges += ",0-";
  const Answer answer = provoke("GET /metrics HTTP/1.1\r\nConnection: close\r\nRange: " + ranges + "\r\n\r\n");
  EXPECT_LE(answer.body.size(), page_.size());
  EXPECT_EQ(ask(port(), "GET", "/metrics", "Range: bytes=0-9\r\n").body.size(), page_.size());
  expect_alive();
}

TEST_F(HostileClients, ABodyIsNeitherReadNorWaitedFor) {
  const std::map<std::string, int> status_of_length = {
      {"5", 405}, {"1000000000000", 413}, {"-1", 400}, {"99999999999999999999999999", 400}, {"x", 400}, {"5, 6", 400}};
  for (const auto& [length, status] : status_of_length) {
    const auto start = Clock::now();
    const Answer answer = provoke("POST /metrics HTTP/1.1\r\nContent-Length: " + length + "\r\n\r\n");
    EXPECT_EQ(answer.status, status) << length;
    EXPECT_LT(Clock::now() - start, kLong) << length;
  }
  EXPECT_EQ(provoke("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n").status, 405);
  expect_alive();
}

// Where two readers could see two ends of a request, there is none; where a body is, nothing behind it is a request.
TEST_F(HostileClients, NothingIsSmuggledInABody) {
  const std::string inner = "GET /healthz HTTP/1.1\r\n\r\n";
  const std::string length = "Content-Length: " + std::to_string(inner.size()) + "\r\n";
  const std::vector<std::pair<std::string, int>> status_of_headers = {
      {"Content-Length: 3\r\nContent-Length: 5\r\n", 400},
      {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
      {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400},
      {"Content-Length : 5\r\n", 400},
      {"Content-Length: +5\r\n", 400},
      {"Content-Length: 0x5\r\n", 400},
      {"X: a\rTransfer-Encoding: chunked\r\n", 400},
      {std::string("X: a\0b\r\n", 8), 400},
      {length, 200},
      {"Transfer-Encoding: chunked\r\n", 200},
      {"Transfer-Encoding: gzip\r\n", 200},
      {"Transfer-Encoding: gzip, chunked\r\n", 200}};
  for (const auto& [headers, status] : status_of_headers) {
    RawClient client(port());
    client.send("GET /metrics HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n" + inner);
    bool hung_up = false;
    const std::string bytes = client.read_all(kLong, &hung_up);
    EXPECT_TRUE(hung_up) << headers;
    EXPECT_EQ(parse_answer(bytes).status, status) << headers;
    EXPECT_EQ(bytes.find("HTTP/1.1 ", 1), std::string::npos) << "a second answer to " << headers;
  }
  expect_alive();
}

TEST_F(HostileClients, HalfARequestIsDroppedInTime) {
  const auto start = Clock::now();
  provoke("GET /metrics HT");
  provoke("");
  EXPECT_LT(Clock::now() - start, seconds(10));
  expect_alive();
}

TEST_F(HostileClients, ADripDoesNotProlongTheTime) {
  RawClient client(port());
  const auto start = Clock::now();
  client.send("GET /metrics HTTP/1.1\r\nX: ");
  while (client.send("y") && Clock::now() - start < kLong) std::this_thread::sleep_for(milliseconds(20));
  EXPECT_LT(Clock::now() - start, kLong);
  expect_alive();
}

TEST_F(HostileClients, AReaderThatReadsNothingIsDropped) {
  page_ = std::string(50 << 20, 'p');  // more than any socket buffer
  RawClient client(port());
  client.send("GET /metrics HTTP/1.1\r\n\r\n");
  std::this_thread::sleep_for(milliseconds(1500));
  EXPECT_LT(client.read_all(kLong).size(), page_.size());
  expect_alive();
}

TEST_F(HostileClients, StopDoesNotWaitForThem) {
  HttpConfig patient;
  patient.port = 0;
  patient.request_time = patient.response_time = patient.idle_time = std::chrono::hours(1);
  auto server =
      HttpServer::start(patient, {[] { return std::string(50 << 20, 'p'); }, [] { return Health::kServing; }});
  ASSERT_TRUE(server.ok()) << server.status();
  RawClient silent((*server)->port()), half((*server)->port()), deaf((*server)->port()), idle((*server)->port());
  idle.send("GET / HTTP/1.1\r\n\r\n");
  half.send("GET /metrics HTTP/1.1\r\n");
  deaf.send("GET /metrics HTTP/1.1\r\n\r\n");
  std::this_thread::sleep_for(milliseconds(200));
  const auto start = Clock::now();
  (*server)->stop();
  EXPECT_LT(Clock::now() - start, seconds(10));
}

TEST_F(HostileClients, ClientsThatVanishHarmNothing) {
  for (int i = 0; i < 200; ++i) {
    RawClient client(port());
    if (i % 2 == 0) client.send("GET /metrics HTTP/1.1\r\n\r\n");
  }
  expect_alive();
}

TEST_F(HostileClients, SignalsGoElsewhere) {
  static std::atomic<std::thread::id> handled_by;
  struct sigaction action = {}, old = {};
  action.sa_handler = [](int) { handled_by = std::this_thread::get_id(); };  // without SA_RESTART
  ::sigaction(SIGUSR1, &action, &old);
  for (int i = 0; i < 20; ++i) {
    ::kill(::getpid(), SIGUSR1);
    std::this_thread::sleep_for(milliseconds(1));
    EXPECT_EQ(handled_by.load(), std::this_thread::get_id());
  }
  ::sigaction(SIGUSR1, &old, nullptr);
  expect_alive();
}

}  // namespace
}  // namespace halftone
