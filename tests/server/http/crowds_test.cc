// However many clients hold connections, read nothing or send slowly, a probe has its answer soon.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/http/http_server.h"
#include "tests/server/http/raw_client.h"

namespace halftone {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kProbe{HALFTONE_SANITIZED ? 10'000 : 2'000};  // on a busy machine
constexpr size_t kPageBytes = 535'000;                               // what ten modes make
constexpr const char* kScrape = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
constexpr const char* kProbeRequest = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

class Crowds : public ::testing::Test {
 protected:
  Crowds() { config_.port = 0; }

  void start() {
    auto server = HttpServer::start(config_, {[] { return std::string(kPageBytes, 'p'); },  //
                                              [] { return Health::kServing; }});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // Each on a new connection, in time.
  void expect_probes(int count) {
    for (int i = 0; i < count; ++i) {
      const auto start = Clock::now();
      RawClient client(server_->port());
      ASSERT_TRUE(client.connected());
      client.send(kProbeRequest);
      EXPECT_EQ(client.read_answer(kProbe).status, 200) << "probe " << i;
      EXPECT_LT(Clock::now() - start, kProbe) << "probe " << i;
    }
  }

  RawClient& join(const std::string& bytes, int receive_buffer = 0) {
    crowd_.push_back(std::make_unique<RawClient>(server_->port(), false, receive_buffer));
    EXPECT_TRUE(crowd_.back()->connected());
    if (!bytes.empty()) crowd_.back()->send(bytes);
    return *crowd_.back();
  }

  int left() const {
    int count = 0;
    for (const auto& client : crowd_) count += client->hung_up();
    return count;
  }

  HttpConfig config_;
  std::unique_ptr<HttpServer> server_;
  std::vector<std::unique_ptr<RawClient>> crowd_;
};

TEST_F(Crowds, ReadersThatTakeNothing) {
  start();
  for (const int size : {16, 200}) {
    while (static_cast<int>(crowd_.size()) < size) join(kScrape, 4096);
    expect_probes(5);
    EXPECT_EQ(ask(server_->port(), "GET", "/metrics").body.size(), kPageBytes);
  }
}

TEST_F(Crowds, ReadersThatTakeNothingAreClosedInTime) {
  config_.response_time = milliseconds(300);
  start();
  for (int i = 0; i < 50; ++i) join(kScrape, 4096);
  const auto start = Clock::now();
  while (left() < 50 && Clock::now() - start < std::chrono::seconds(20)) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(left(), 50);
}

TEST_F(Crowds, RequestsThatDribble) {
  start();
  for (int i = 0; i < 500; ++i) join("GET /healthz HTTP/1.1\r\nX: ");
  const auto end = Clock::now() + 10 * config_.request_time;
  while (Clock::now() < end && left() < 500) {
    for (auto& client : crowd_) client->send("y");
    expect_probes(1);
    std::this_thread::sleep_for(milliseconds(50));
  }
  EXPECT_EQ(left(), 500);  // a byte now and then prolongs nothing
}

TEST_F(Crowds, IdleConnections) {
  start();
  for (int i = 0; i < 500; ++i) join(i % 2 == 0 ? "" : kProbeRequest);
  expect_probes(5);
  EXPECT_EQ(left(), 0);
}

TEST_F(Crowds, MoreThanThereIsRoomForShedWhoWaitedLongest) {
  config_.max_connections = 20;
  config_.request_time = config_.response_time = std::chrono::hours(1);
  start();
  for (int i = 0; i < 20; ++i) join(i == 7 ? "GET" : i == 8 ? kScrape : "", 4096);
  RawClient& active = join(kProbeRequest);
  EXPECT_EQ(active.read_answer(kProbe).status, 200);
  EXPECT_TRUE(crowd_.front()->hung_up());
  EXPECT_EQ(left(), 1);
  for (int i = 0; i < 19; ++i) {
    expect_probes(1);
    active.send(kProbeRequest);  // whoever is at work stays
    EXPECT_EQ(active.read_answer(kProbe).status, 200);
  }
  EXPECT_FALSE(active.hung_up());
}

// Takes all descriptors that the process may have.
class Exhausted {
 public:
  explicit Exhausted(rlim_t limit) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit low = before_;
    low.rlim_cur = limit;
    ::setrlimit(RLIMIT_NOFILE, &low);
    for (int fd; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) taken_.push_back(fd);
  }
  ~Exhausted() {
    give(taken_.size());
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }

  void give(size_t count) {
    for (size_t i = 0; i < count && !taken_.empty(); ++i) {
      ::close(taken_.back());
      taken_.pop_back();
    }
  }

 private:
  rlimit before_ = {};
  std::vector<int> taken_;
};

// A client of this process, whose descriptors are scarce: the server may be faster than it in taking the one given.
std::unique_ptr<RawClient> connect_with_the_last(Exhausted& exhausted, int port) {
  for (int i = 0; i < 20; ++i) {
    exhausted.give(1);
    auto client = std::make_unique<RawClient>(port);
    if (client->connected()) return client;
  }
  return nullptr;
}

TEST_F(Crowds, NoDescriptorsLeft) {
  start();
  {
    Exhausted exhausted(300);
    for (int i = 0; i < 30; ++i) {
      auto probe = connect_with_the_last(exhausted, server_->port());
      ASSERT_NE(probe, nullptr);
      probe->send(kProbeRequest);
      EXPECT_EQ(probe->read_answer(kProbe).status, 200) << i;
      crowd_.push_back(std::move(probe));
      crowd_.push_back(connect_with_the_last(exhausted, server_->port()));  // stays, and says nothing
      ASSERT_NE(crowd_.back(), nullptr);
    }
    EXPECT_GT(left(), 0);
    crowd_.clear();
  }
  expect_probes(5);
}

}  // namespace
}  // namespace halftone
