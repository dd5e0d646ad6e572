#include "server/net/gate.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <future>
#include <thread>
#include <unordered_map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/net/link.h"
#include "server/net/pulse.h"
#include "server/threads.h"

namespace halftone {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr size_t kReadBytes = 32768;
constexpr int kPairBytes = 65536;  // that the system keeps between gRPC and the gate, each way
constexpr int kAcceptsInARow = 64;
constexpr uint64_t kWorthTelling = 1 << 20;  // of released bytes
constexpr milliseconds kTick{1000}, kRest{50}, kSoon{10};
constexpr milliseconds kLinger{1000};    // for a client to read what it was told, once gRPC has hung up
constexpr milliseconds kLastWords{200};  // for clients to take what gRPC wrote at the end
constexpr uint32_t kCalm = 11;           // ENHANCE_YOUR_CALM
constexpr uint64_t kWake = 0, kListener = 1, kFirstLink = 2;  // in epoll's data; a link has two numbers, one a side

std::string address_text(int fd) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  char host[NI_MAXHOST] = "";
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      ::getnameinfo(reinterpret_cast<sockaddr*>(&address), size, host, sizeof(host), nullptr, 0, NI_NUMERICHOST) != 0) {
    return "a client";
  }
  return host;
}

int peer_port(int fd) {
  sockaddr_in6 address = {};  // a sockaddr_in has its port in the same place
  socklen_t size = sizeof(address);
  return ::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0 ? ntohs(address.sin6_port) : -1;
}

void watch(int epoll, int operation, int fd, uint32_t events, uint64_t data) {
  epoll_event event = {};
  event.events = events;
  event.data.u64 = data;
  ::epoll_ctl(epoll, operation, fd, &event);
}

}  // namespace

class Gate::Loop {
 public:
  Loop(std::vector<Socket> listeners, const GateConfig& config, Adopt adopt, Tell tell)
      : config_(config),
        adopt_(std::move(adopt)),
        tell_(std::move(tell)),
        listeners_(std::move(listeners)),
        port_(port_of(listeners_.front())),
        pulse_(listeners_.front()),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        spare_(spare_descriptor()) {}

  bool ready() const { return epoll_.fd() >= 0 && wake_.fd() >= 0; }
  int port() const { return port_; }
  bool answers() const { return pulse_.beats(); }

  void start() {
    watch(epoll_.fd(), EPOLL_CTL_ADD, wake_.fd(), EPOLLIN | EPOLLET, kWake);
    for (const Socket& listener : listeners_) {
      watch(epoll_.fd(), EPOLL_CTL_ADD, listener.fd(), EPOLLIN | EPOLLET, kListener);
    }
    thread_ = thread_without_signals([this] { run(); });
    if (config_.pulse) pulse_.start();
  }

  void stop_accepting() {
    if (deaf_ || !thread_.joinable()) return;
    pulse_.stop();
    closing_ = true;
    ::eventfd_write(wake_.fd(), 1);
    deafened_.get_future().wait();
    deaf_ = true;
  }

  void stop() {
    if (!thread_.joinable()) return;
    pulse_.stop();
    stopping_ = true;
    ::eventfd_write(wake_.fd(), 1);
    thread_.join();
  }

 private:
  struct Carried {
    Link link;
    bool armed[2] = {false, false};  // EPOLLOUT is asked for
    bool queued = false;             // in again_
    size_t streams = 0;              // that are in the sums
    uint64_t request_bytes = 0;
  };
  using Links = std::unordered_map<uint64_t, Carried>;

  static Socket spare_descriptor() { return Socket(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

  void run();
  void close_listeners();
  int patience() const;
  void accept_some();
  bool accept_one(int listener);
  void refuse_one(int listener);
  bool make_room();
  void carry(Socket client);
  void serve(uint64_t id);
  void arm(uint64_t id, Carried& carried);
  void count(Carried& carried);
  void release(uint64_t bytes);
  void keep_within_sums();
  void look_after_all();
  void end(Links::iterator link, const char* why, uint32_t code);

  const GateConfig config_;
  const Adopt adopt_;
  const Tell tell_;
  std::vector<Socket> listeners_;
  const int port_;
  Pulse pulse_;
  Socket epoll_, wake_;
  Socket spare_;  // given up for a moment to refuse a connection when there are no others
  std::atomic<bool> closing_{false}, stopping_{false};
  std::promise<void> deafened_;
  bool deaf_ = false;  // the owner's thread only
  std::thread thread_;

  // The gate's thread only.
  Links links_;
  uint64_t next_id_ = kFirstLink;  // even
  std::vector<uint64_t> again_;    // links that have something to do without an event
  bool callers_ = false;           // somebody waits to be accepted
  Clock::time_point now_ = Clock::now(), rest_until_ = {}, next_look_ = {};
  size_t streams_ = 0;
  uint64_t request_bytes_ = 0;
  uint64_t released_ = 0;  // and not told yet
  std::array<char, kReadBytes> room_;
};

void Gate::Loop::run() {
  std::array<epoll_event, 128> events;
  Clock::time_point last = Clock::time_point::max();
  while (true) {
    const int count = ::epoll_wait(epoll_.fd(), events.data(), events.size(), patience());
    now_ = Clock::now();
    const std::vector<uint64_t> waiting = std::exchange(again_, {});
    for (int i = 0; i < count; ++i) {
      const uint64_t data = events[i].data.u64;
      eventfd_t ignored;
      if (data == kWake) ::eventfd_read(wake_.fd(), &ignored);
      if (data == kListener) callers_ = true;
      if (data < kFirstLink) continue;
      const auto found = links_.find(data & ~uint64_t{1});
      if (found == links_.end()) continue;
      found->second.link.on_event(static_cast<Link::Side>(data & 1), events[i].events);
      serve(found->first);
    }
    for (const uint64_t id : waiting) {
      if (const auto found = links_.find(id); found != links_.end()) {
        found->second.queued = false;
        serve(id);
      }
    }
    if (closing_) close_listeners();
    if (callers_ && now_ >= rest_until_) accept_some();
    if (now_ >= next_look_) look_after_all();
    if (stopping_) {
      close_listeners();
      last = std::min(last, now_ + kLastWords);
      if (links_.empty() || now_ >= last) return links_.clear();
    }
  }
}

// Until when to wait at most, in milliseconds.
int Gate::Loop::patience() const {
  milliseconds time = links_.empty() ? milliseconds(-1) : kTick;
  if (callers_) time = now_ < rest_until_ ? kRest : milliseconds(0);
  if (!again_.empty() || stopping_) time = std::min(time < milliseconds(0) ? kSoon : time, kSoon);
  for (const uint64_t id : again_) {
    if (const auto found = links_.find(id); found != links_.end() && found->second.link.rests_until() <= now_) return 0;
  }
  return static_cast<int>(time.count());
}

void Gate::Loop::close_listeners() {
  if (!listeners_.empty()) {
    listeners_.clear();
    callers_ = false;
    deafened_.set_value();
  }
}

void Gate::Loop::accept_some() {
  callers_ = false;
  if (spare_.fd() < 0) spare_ = spare_descriptor();
  for (const Socket& listener : listeners_) {
    for (int i = 0; accept_one(listener.fd()); ++i) {
      if (i < kAcceptsInARow && now_ >= rest_until_) continue;
      callers_ = true;
      break;
    }
  }
}

// False where nobody waits any more.
bool Gate::Loop::accept_one(int listener) {
  Socket client(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (client.fd() < 0) {
    if (errno == EAGAIN) return false;
    if (errno == ECONNABORTED || errno == EINTR) return true;  // that one caller is gone
    rest_until_ = now_ + kRest;
    if (errno == EMFILE || errno == ENFILE) refuse_one(listener);
    return true;
  }
  // Our own question whether the port answers always finds room.
  const bool own = peer_port(client.fd()) == pulse_.port();
  if (links_.size() >= config_.connections && !own && !make_room()) {
    tell_(absl::StrCat("a connection of ", address_text(client.fd()), " was refused: ", links_.size(),
                       " are open and busy"));
    return true;
  }
  carry(std::move(client));
  return true;
}

void Gate::Loop::refuse_one(int listener) {
  spare_ = Socket();
  { const Socket client(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)); }
  spare_ = spare_descriptor();
  tell_("a connection was refused: no descriptors are left");
}

bool Gate::Loop::make_room() {
  auto idlest = links_.end();
  for (auto i = links_.begin(); i != links_.end(); ++i) {
    if (i->second.link.watch().streams() > 0) continue;
    if (idlest == links_.end() || i->second.link.last_moved() < idlest->second.link.last_moved()) idlest = i;
  }
  if (idlest == links_.end()) return false;
  end(idlest, "idle, and others want to connect", 0);
  return true;
}

void Gate::Loop::carry(Socket client) {
  const int on = 1;
  ::setsockopt(client.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
    rest_until_ = now_ + kRest;
    tell_("a connection was refused: no descriptors are left");
    return;
  }
  for (const int fd : pair) ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kPairBytes, sizeof(kPairBytes));
  const uint64_t id = next_id_;
  next_id_ += 2;
  const auto added = links_.emplace(id, Carried{Link(std::move(client), Socket(pair[0]), config_.frames, now_)}).first;
  for (const Link::Side side : {Link::kClient, Link::kServer}) {
    watch(epoll_.fd(), EPOLL_CTL_ADD, added->second.link.fd(side), EPOLLIN | EPOLLRDHUP | EPOLLET, id + side);
  }
  adopt_(pair[1]);
}

void Gate::Loop::serve(uint64_t id) {
  const auto found = links_.find(id);
  if (found == links_.end()) return;
  Carried& carried = found->second;
  const bool more = carried.link.move(room_, now_);
  if (carried.link.over()) return end(found, carried.link.broken(), kCalm);
  arm(id, carried);
  if (!carried.queued && (more || carried.link.rests_until() > now_)) {
    carried.queued = true;
    again_.push_back(id);
  }
  count(carried);
  keep_within_sums();
}

void Gate::Loop::arm(uint64_t id, Carried& carried) {
  for (const Link::Side side : {Link::kClient, Link::kServer}) {
    if (carried.armed[side] == carried.link.blocked(side)) continue;
    carried.armed[side] = !carried.armed[side];
    const uint32_t out = carried.armed[side] ? uint32_t{EPOLLOUT} : 0;
    watch(epoll_.fd(), EPOLL_CTL_MOD, carried.link.fd(side), EPOLLIN | EPOLLRDHUP | EPOLLET | out, id + side);
  }
}

void Gate::Loop::count(Carried& carried) {
  const FrameWatch& seen = carried.link.watch();
  streams_ += seen.streams() - std::exchange(carried.streams, seen.streams());
  const uint64_t before = std::exchange(carried.request_bytes, seen.request_bytes());
  request_bytes_ += seen.request_bytes() - before;
  if (before > seen.request_bytes()) release(before - seen.request_bytes());
}

void Gate::Loop::release(uint64_t bytes) {
  released_ += bytes;
  if (released_ >= kWorthTelling && config_.released) config_.released(std::exchange(released_, 0));
}

// Whoever holds most has to go.
void Gate::Loop::keep_within_sums() {
  if (streams_ > config_.streams) {
    end(std::max_element(links_.begin(), links_.end(),
                         [](const auto& a, const auto& b) { return a.second.streams < b.second.streams; }),
        "it has the most streams open, and all connections together have too many", kCalm);
  }
  if (request_bytes_ > config_.request_bytes) {
    end(std::max_element(links_.begin(), links_.end(),
                         [](const auto& a, const auto& b) { return a.second.request_bytes < b.second.request_bytes; }),
        "its requests are the largest, and those of all connections together are too large", kCalm);
  }
}

// What no event tells: times that have passed.
void Gate::Loop::look_after_all() {
  next_look_ = now_ + kTick;
  for (auto i = links_.begin(); i != links_.end();) {
    const auto link = i++;
    const Link& l = link->second.link;
    if (!l.watch().greeted() && now_ - l.last_moved() > config_.greeting_time) {
      end(link, "it did not begin to speak HTTP/2 in time", kCalm);
    } else if (l.owes_client() && now_ - l.last_moved() > config_.unread_time) {
      end(link, "it does not read", kCalm);
    } else if (l.lingers() && now_ - l.last_moved() > kLinger) {
      end(link, nullptr, 0);
    } else if (l.watch().has_unfinished_request(now_ - config_.request_time)) {
      end(link, "it did not finish a request in time", kCalm);
    }
  }
}

// `why` is null where the link ended by itself.
void Gate::Loop::end(Links::iterator link, const char* why, uint32_t code) {
  Carried& carried = link->second;
  if (why != nullptr) {
    carried.link.end(why, code);
    if (code != 0)
      tell_(absl::StrCat("ended the connection of ", address_text(carried.link.fd(Link::kClient)), ": ", why));
  }
  streams_ -= carried.streams;
  request_bytes_ -= carried.request_bytes;
  release(carried.request_bytes);
  links_.erase(link);
}

absl::StatusOr<std::unique_ptr<Gate>> Gate::start(std::vector<Socket> listeners, const GateConfig& config, Adopt adopt,
                                                  Tell tell) {
  auto loop = std::make_unique<Loop>(std::move(listeners), config, std::move(adopt), std::move(tell));
  if (!loop->ready()) return absl::ErrnoToStatus(errno, "cannot make an epoll or eventfd for the gRPC port");
  loop->start();
  return std::unique_ptr<Gate>(new Gate(std::move(loop)));
}

Gate::Gate(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}

Gate::~Gate() { stop(); }

int Gate::port() const { return loop_->port(); }

bool Gate::answers() const { return loop_->answers(); }

void Gate::stop_accepting() { loop_->stop_accepting(); }

void Gate::stop() { loop_->stop(); }

}  // namespace halftone
