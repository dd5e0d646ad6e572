// Rendering is shared, bounded, and holds up nobody else.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/http/gzip.h"
#include "server/http/http_server.h"
#include "server/http/renderer.h"
#include "tests/server/http/raw_client.h"

namespace halftone {
namespace {

constexpr std::chrono::seconds kLong{20};

SharedHttpResponse ask_and_wait(Renderer& renderer) {
  std::promise<SharedHttpResponse> answer;
  renderer.ask([&](SharedHttpResponse made) { answer.set_value(std::move(made)); });
  return answer.get_future().get();
}

TEST(Renderer, AnswersAreMadeAnew) {
  std::atomic<int> calls{0};
  Renderer renderer([&] { return plain_text(200, std::to_string(++calls)); }, 8);
  EXPECT_EQ(ask_and_wait(renderer)->body, "1");
  EXPECT_EQ(ask_and_wait(renderer)->body, "2");
}

TEST(Renderer, WhoeverAsksMeanwhileSharesTheAnswer) {
  std::promise<void> go;
  std::atomic<int> calls{0}, answers{0};
  Renderer renderer(
      [&, gate = go.get_future().share()] {
        gate.wait();
        return plain_text(200, std::to_string(++calls));
      },
      8);
  for (int i = 0; i < 1000; ++i) renderer.ask([&](const SharedHttpResponse&) { ++answers; });
  go.set_value();
  ask_and_wait(renderer);
  EXPECT_EQ(answers, 1000);
  EXPECT_LE(calls, 2);
}

TEST(Renderer, SlowReadersHoldNoMoreThanAFewAnswers) {
  int calls = 0;
  Renderer renderer([&] { return plain_text(200, std::to_string(++calls)); }, 3);
  std::vector<SharedHttpResponse> held;
  for (int i = 0; i < 20; ++i) held.push_back(ask_and_wait(renderer));
  EXPECT_EQ(held.back()->body, "3");
  EXPECT_EQ(calls, 3);
  held.erase(held.begin());
  EXPECT_EQ(ask_and_wait(renderer)->body, "4");
}

TEST(Renderer, StopsWithoutAnsweringWhoeverWaits) {
  std::promise<void> started, go;
  std::atomic<int> answers{0};
  Renderer renderer(
      [&, gate = go.get_future().share()] {
        started.set_value();
        gate.wait();
        return plain_text(200, "");
      },
      8);
  renderer.ask([&](const SharedHttpResponse&) { ++answers; });
  started.get_future().wait();
  std::thread stopper([&] { renderer.stop(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // so that it stops while rendering
  go.set_value();
  stopper.join();
  renderer.ask([&](const SharedHttpResponse&) { ++answers; });
  EXPECT_EQ(answers, 0);
}

class BlockedContent : public ::testing::Test {
 protected:
  void SetUp() override {
    HttpConfig config;
    config.port = 0;
    auto server = HttpServer::start(config, {[this] {
                                               if (metrics_blocked_) gate_.wait();
                                               ++renders_;
                                               return std::string("page\n");
                                             },
                                             [this] {
                                               if (health_blocked_) gate_.wait();
                                               return Health::kServing;
                                             }});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  void TearDown() override {
    if (!opened_) open();
  }

  void open() {
    opened_ = true;
    go_.set_value();
  }
  int status(const char* path) { return ask(server_->port(), "GET", path).status; }

  std::atomic<bool> metrics_blocked_{false}, health_blocked_{false};
  std::atomic<int> renders_{0};
  bool opened_ = false;
  std::promise<void> go_;
  std::shared_future<void> gate_ = go_.get_future().share();
  std::unique_ptr<HttpServer> server_;
};

TEST_F(BlockedContent, APageThatTakesLongDelaysNoProbe) {
  metrics_blocked_ = true;
  std::vector<std::unique_ptr<RawClient>> scrapers;
  for (int i = 0; i < 50; ++i) {
    scrapers.push_back(std::make_unique<RawClient>(server_->port()));
    scrapers.back()->send("GET /metrics HTTP/1.1\r\n\r\n");
  }
  EXPECT_EQ(status("/healthz"), 200);
  EXPECT_EQ(status("/"), 200);
  open();
  for (auto& scraper : scrapers) EXPECT_EQ(scraper->read_answer(kLong).body, "page\n");
  EXPECT_LE(renders_, 3);
}

TEST_F(BlockedContent, ACheckThatTakesLongDelaysNoScrape) {
  health_blocked_ = true;
  RawClient probe(server_->port());
  probe.send("GET /healthz HTTP/1.1\r\n\r\n");
  EXPECT_EQ(status("/metrics"), 200);
  open();
  EXPECT_EQ(probe.read_answer(kLong).status, 200);
}

TEST_F(BlockedContent, WhoeverLeavesMeanwhileHarmsNothing) {
  metrics_blocked_ = true;
  for (int i = 0; i < 50; ++i) RawClient(server_->port()).send("GET /metrics HTTP/1.1\r\n\r\n");
  open();
  EXPECT_EQ(status("/metrics"), 200);
}

TEST(Gzip, IsAcceptedWhereItIsNamed) {
  for (const char* header : {"gzip", "GZIP", "br, gzip", "gzip;q=0.5", " deflate ,gzip ; q=1"}) {
    EXPECT_TRUE(accepts_gzip(header)) << header;
  }
  for (const char* header : {"", "br", "gzipped", "x-gzip", "gzip;q=0", "gzip; q=0.000", "*"}) {
    EXPECT_FALSE(accepts_gzip(header)) << header;
  }
}

TEST(Gzip, MakesAPageOfMetricsSmall) {
  std::string page;
  for (int i = 0; i < 5000; ++i) page += "llm_step_seconds_bucket{mode=\"w4a16\",le=\"" + std::to_string(i) + "\"} 0\n";
  const std::string packed = gzip(page);
  EXPECT_LT(packed.size(), page.size() / 5);
  EXPECT_EQ(packed.substr(0, 2), "\x1F\x8B");
  EXPECT_FALSE(gzip("").empty());
}

}  // namespace
}  // namespace halftone
