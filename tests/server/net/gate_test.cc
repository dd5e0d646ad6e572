#include "server/net/gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "server/net/probe.h"
#include "tests/server/http/raw_client.h"
#include "tests/server/net/frames.h"

namespace halftone {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kPatience{5000};

// What stands behind the gate: a test that reads and writes by hand.
class Behind {
 public:
  explicit Behind(GateConfig config = {}) {
    config.pulse = false;
    auto started = Gate::start(
        *listen_on_all("127.0.0.1", 0), config,
        [this](int fd) {
          const std::lock_guard lock(mutex_);
          fds_.emplace_back(fd);
          changed_.notify_all();
        },
        [this](const std::string& line) {
          const std::lock_guard lock(mutex_);
          told_ += line + "\n";
        });
    EXPECT_TRUE(started.ok()) << started.status();
    gate = *std::move(started);
  }
  ~Behind() { gate.reset(); }

  // Connects, and gives the two ends.
  std::pair<std::unique_ptr<RawClient>, Socket> connect() {
    auto client = std::make_unique<RawClient>(gate->port());
    EXPECT_TRUE(client->connected());
    return {std::move(client), next()};
  }
  Socket next() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [this] { return !fds_.empty(); })) return Socket();
    Socket socket = std::move(fds_.front());
    fds_.pop_front();
    return socket;
  }
  std::string told() {
    const std::lock_guard lock(mutex_);
    return told_;
  }

  std::unique_ptr<Gate> gate;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Socket> fds_;
  std::string told_;
};

// At least so many bytes, or what came until the end or in time.
std::string read_some(const Socket& socket, size_t size) {
  std::string bytes;
  char part[65536];
  for (pollfd polled = {socket.fd(), POLLIN, 0}; bytes.size() < size && poll(&polled, 1, 5000) > 0;) {
    const ssize_t count = recv(socket.fd(), part, sizeof part, MSG_DONTWAIT);
    if (count <= 0) break;
    bytes.append(part, static_cast<size_t>(count));
  }
  return bytes;
}

void write_all(const Socket& socket, std::string_view bytes) {
  for (pollfd polled = {socket.fd(), POLLOUT, 0}; !bytes.empty() && poll(&polled, 1, 5000) > 0;) {
    const ssize_t count = send(socket.fd(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count > 0) bytes.remove_prefix(static_cast<size_t>(count));
  }
}

bool hung_up(RawClient& client) {
  bool ended = false;
  client.read_all(kPatience, &ended);
  return ended;
}

TEST(Gate, CarriesBytesBothWaysAndTellsEachSideWhenTheOtherEnds) {
  Behind behind;
  auto [client, server] = behind.connect();
  client->send(greeting());
  EXPECT_EQ(read_some(server, greeting().size()), greeting());
  write_all(server, "an answer");
  client->end_sending();
  EXPECT_EQ(read_some(server, 1), "");
  write_all(server, " and its end");
  { const Socket closed = std::move(server); }
  EXPECT_EQ(client->read_all(kPatience), "an answer and its end");
}

TEST(Gate, AClientThatReadsNothingHoldsTheServerUpAndLosesNothing) {
  Behind behind;
  auto [client, server] = behind.connect();
  client->send(greeting());
  std::string sent;
  const std::string part = frame(kDataFrame, 0, 1, std::string(10000, 'x'));
  while (true) {  // until nothing more is taken
    pollfd polled = {server.fd(), POLLOUT, 0};
    if (poll(&polled, 1, 300) == 0) break;
    const size_t offset = sent.size() % part.size();
    const ssize_t count = send(server.fd(), part.data() + offset, part.size() - offset, MSG_DONTWAIT | MSG_NOSIGNAL);
    ASSERT_GT(count, 0);
    sent.append(part, offset, static_cast<size_t>(count));
    ASSERT_LT(sent.size(), size_t{64} << 20);
  }
  { const Socket closed = std::move(server); }
  EXPECT_TRUE(client->read_all(kPatience) == sent);
}

TEST(Gate, AHeaderBlockComesWholeOrNotAtAll) {
  Behind behind;
  auto [client, server] = behind.connect();
  client->send(greeting());
  EXPECT_EQ(read_some(server, greeting().size()), greeting());
  const std::string begin = frame(kHeadersFrame, 0, 1, "half");
  const std::string end = frame(kContinuationFrame, kEndHeadersFlag, 1, " and half");
  client->send(begin);
  EXPECT_EQ(read_some(server, 9), begin.substr(0, 9));
  pollfd polled = {server.fd(), POLLIN, 0};
  EXPECT_EQ(poll(&polled, 1, 50), 0);
  client->send(end);
  EXPECT_EQ(read_some(server, 4 + end.size()), "half" + end);
}

TEST(Gate, AClientBeyondALimitIsToldAndGone) {
  Behind behind;
  auto [client, server] = behind.connect();
  client->send(greeting() + frame(kContinuationFrame, 0, 1, ""));
  bool ended = false;
  EXPECT_THAT(client->read_all(kPatience, &ended), testing::HasSubstr("header block"));
  EXPECT_TRUE(ended);
  EXPECT_EQ(read_some(server, 1000).size() % 33, 0u) << "nothing of what was wrong";
  EXPECT_THAT(behind.told(), testing::HasSubstr("127.0.0.1"));
}

TEST(Gate, TheConnectionThatIsIdleLongestMakesRoom) {
  GateConfig config;
  config.connections = 2;
  Behind behind(config);
  auto [busy, busy_server] = behind.connect();
  busy->send(greeting() + frame(kHeadersFrame, kEndHeadersFlag, 1, "a call"));
  (void)read_some(busy_server, greeting().size() + 15);
  auto [idle, idle_server] = behind.connect();
  auto [third, third_server] = behind.connect();
  EXPECT_TRUE(hung_up(*idle));
  third->send(greeting() + frame(kHeadersFrame, kEndHeadersFlag, 1, "a call"));
  EXPECT_EQ(read_some(third_server, greeting().size() + 15).size(), greeting().size() + 15);
  RawClient fourth(behind.gate->port());
  EXPECT_TRUE(hung_up(fourth)) << "all are busy";
  write_all(busy_server, "still there");
  bool ended = true;
  EXPECT_EQ(busy->read_all(milliseconds(200), &ended), "still there");
  EXPECT_FALSE(ended);
}

TEST(Gate, ALackOfDescriptorsEndsNothing) {
  Behind behind;
  const int next_descriptor = dup(0);
  close(next_descriptor);
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit tight = {static_cast<rlim_t>(next_descriptor) + 12, limit.rlim_max};
  setrlimit(RLIMIT_NOFILE, &tight);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 30; ++i) {
    clients.push_back(std::make_unique<RawClient>(behind.gate->port()));
    if (!clients.back()->connected()) clients.pop_back();
    std::this_thread::sleep_for(milliseconds(5));
  }
  clients.clear();
  setrlimit(RLIMIT_NOFILE, &limit);
  RawClient late(behind.gate->port());
  late.send(greeting());
  Socket last;
  while (last.fd() < 0 || read_some(last, 1).empty()) {  // those of the clients that are gone say so
    last = behind.next();
    ASSERT_GE(last.fd(), 0) << "it does not accept any more";
  }
  EXPECT_THAT(behind.told(), testing::HasSubstr("no descriptors are left"));
}

TEST(Gate, WhereAllTogetherHoldTooMuchTheHeaviestGoes) {
  GateConfig config;
  config.streams = 5;
  config.request_bytes = 100000;
  Behind behind(config);
  auto [light, light_server] = behind.connect();
  light->send(greeting() + frame(kHeadersFrame, kEndHeadersFlag, 1, "a call"));
  (void)read_some(light_server, greeting().size() + 15);
  auto [many, many_server] = behind.connect();
  std::string calls = greeting();
  for (uint32_t id = 1; id <= 9; id += 2) calls += frame(kHeadersFrame, kEndHeadersFlag, id, "a call");
  many->send(calls);
  EXPECT_TRUE(hung_up(*many));
  auto [large, large_server] = behind.connect();
  large->send(greeting() + frame(kHeadersFrame, kEndHeadersFlag, 1, "a call"));
  std::thread reader([&server = large_server] { (void)read_some(server, 1 << 20); });
  for (int i = 0; i < 12; ++i) large->send(frame(kDataFrame, 0, 1, std::string(10000, 'd')));
  EXPECT_TRUE(hung_up(*large));
  reader.join();
  bool ended = true;
  light->read_all(milliseconds(100), &ended);
  EXPECT_FALSE(ended);
}

TEST(Gate, TellsWhenGrpcHoldsRequestsNoLonger) {
  std::atomic<uint64_t> released{0};
  GateConfig config;
  config.released = [&](uint64_t bytes) { released += bytes; };
  Behind behind(config);
  auto [client, server] = behind.connect();
  client->send(greeting() + frame(kHeadersFrame, kEndHeadersFlag, 1, "a call"));
  std::thread reader([&held = server] { (void)read_some(held, greeting().size() + 15 + 200 * 10009); });
  for (int i = 0; i < 200; ++i) client->send(frame(kDataFrame, 0, 1, std::string(10000, 'd')));
  reader.join();
  EXPECT_EQ(released.load(), 0u);
  client.reset();
  server = Socket();
  for (int i = 0; i < 500 && released == 0; ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_GE(released.load(), 1u << 20);
}

TEST(Gate, ClientsHaveTheirTime) {
  GateConfig config;
  config.greeting_time = config.request_time = milliseconds(100);
  Behind behind(config);
  auto [mute, mute_server] = behind.connect();
  auto [slow, slow_server] = behind.connect();
  slow->send(greeting() + frame(kHeadersFrame, kEndHeadersFlag, 1, "a call"));
  auto [good, good_server] = behind.connect();
  good->send(greeting() + frame(kHeadersFrame, kEndHeadersFlag | kEndStreamFlag, 1, "a call"));
  EXPECT_TRUE(hung_up(*mute));
  EXPECT_TRUE(hung_up(*slow));
  bool ended = true;
  good->read_all(milliseconds(100), &ended);
  EXPECT_FALSE(ended);
}

// A flood is slowed down to what the gate allows; nothing of it is lost, and others do not wait.
TEST(Gate, AFloodOfDearFramesIsSlowedDown) {
  Behind behind;
  auto [flood, flood_server] = behind.connect();
  const std::string ping = frame(kPingFrame, 0, 0, "12345678");
  std::string pings = greeting();
  for (int i = 0; i < 4000; ++i) pings += ping;
  const auto begin = std::chrono::steady_clock::now();
  std::thread sender([&client = flood, &pings] { client->send(pings); });
  auto [other, other_server] = behind.connect();
  other->send(greeting());
  EXPECT_EQ(read_some(other_server, greeting().size()), greeting());
  EXPECT_TRUE(read_some(flood_server, pings.size()) == pings);
  EXPECT_GT(std::chrono::steady_clock::now() - begin, seconds(1));
  sender.join();
}

TEST(Gate, NobodyListensOnceItStoppedAccepting) {
  Behind behind;
  auto [client, server] = behind.connect();
  behind.gate->stop_accepting();
  EXPECT_FALSE(RawClient(behind.gate->port()).connected());
  client->send(greeting());
  EXPECT_EQ(read_some(server, greeting().size()), greeting()) << "connections live on";
  write_all(server, "last words");
  { const Socket closed = std::move(server); }
  behind.gate->stop();
  EXPECT_EQ(client->read_all(kPatience), "last words");
}

TEST(Probe, SaysNoWhereNobodyAnswers) {
  Behind behind;
  const auto listener = listen_on("127.0.0.1", 0);
  ASSERT_TRUE(listener.ok());
  EXPECT_FALSE(Probe(*listener).ask(milliseconds(50))) << "it listens, and no more";
}

}  // namespace
}  // namespace halftone
