#include "server/net/link.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace halftone {
namespace {

constexpr int kRounds = 4;                // reads in a row, before others have their turn
constexpr double kWorkPerSecond = 20000;  // frames' work that a client may cause; see FrameWatch::take_cost
constexpr double kWorkAtOnce = 20000;
constexpr uint8_t kGoAway = 7;
constexpr uint32_t kNoStream = 0x7fffffff;

bool again(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

void append_number(std::string& bytes, uint32_t number, int size) {
  for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(number >> shift));
}

std::string goodbye(const char* why, uint32_t error_code) {
  std::string frame;
  append_number(frame, static_cast<uint32_t>(8 + std::strlen(why)), 3);
  append_number(frame, kGoAway, 1);
  append_number(frame, 0, 1);
  append_number(frame, 0, 4);
  append_number(frame, kNoStream, 4);
  append_number(frame, error_code, 4);
  return frame + why;
}

}  // namespace

Link::Link(Socket client, Socket server, const FrameLimits& limits, Time now)
    : sockets_{std::move(client), std::move(server)},
      watch_(limits),
      last_moved_(now),
      charged_(now),
      credit_(kWorkAtOnce) {}

void Link::on_event(Side side, uint32_t events) {
  if ((events & ~static_cast<uint32_t>(EPOLLOUT)) != 0) ways_[side].readable = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) ways_[1 - side].blocked = false;
}

bool Link::move(std::span<char> room, Time now) {
  bool more = move_way(kServer, room, now);
  if (!over_) more = move_way(kClient, room, now) || more;
  return more && !over_;
}

bool Link::move_way(Side from, std::span<char> room, Time now) {
  Way& way = ways_[from];
  for (int round = 0; round < kRounds; ++round) {
    if (!flush(from, now) || over_) return false;
    if (way.ended) {
      finish_way(from);
      return false;
    }
    if (!way.readable || (from == kClient && now < rests_until_)) return false;
    const ssize_t count = ::recv(sockets_[from].fd(), room.data(), room.size(), MSG_DONTWAIT);
    if (count > 0) {
      if (!pass(from, {room.data(), static_cast<size_t>(count)}, now)) return false;
    } else if (count < 0 && again(errno)) {
      way.readable = false;
      return false;
    } else if (count == 0 || errno != EINTR) {
      way.ended = true;
      if (from == kClient && count < 0) over_ = true;  // it is gone, and takes nothing either
    }
  }
  return true;
}

bool Link::pass(Side from, std::string_view bytes, Time now) {
  Way& way = ways_[from];
  if (from == kServer) {
    watch_.from_server(bytes);
  } else {
    if (lingers() || ways_[kClient].closed) return true;  // nobody is left to read it
    broken_ = watch_.from_client(bytes, now);
    if (broken_ != nullptr) {
      over_ = true;
      return false;
    }
    charge(now);
  }
  const size_t held = from == kClient ? watch_.held() : 0;
  if (way.kept.empty() && held == 0) {
    const ssize_t count = write(from, bytes, now);
    if (count < 0) return !over_;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  way.kept.append(bytes);
  return true;
}

bool Link::flush(Side from, Time now) {
  Way& way = ways_[from];
  const size_t held = from == kClient ? watch_.held() : 0;
  const size_t ready = way.kept.size() - std::min(held, way.kept.size());
  if (ready == 0) return true;
  const ssize_t count = write(from, std::string_view(way.kept).substr(0, ready), now);
  if (count < 0) return true;
  way.kept.erase(0, static_cast<size_t>(count));
  return static_cast<size_t>(count) == ready;
}

ssize_t Link::write(Side from, std::string_view bytes, Time now) {
  Way& way = ways_[from];
  if (way.blocked) return 0;
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        ::send(sockets_[1 - from].fd(), bytes.data() + done, bytes.size() - done, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) {
      done += static_cast<size_t>(count);
      last_moved_ = now;
    } else if (again(errno)) {
      way.blocked = true;
      break;
    } else if (errno != EINTR) {
      // A client that is gone ends all; gRPC may have said its last words, which are still to be passed on.
      if (from == kServer) over_ = true;
      way.closed = true;
      way.kept.clear();
      return -1;
    }
  }
  return static_cast<ssize_t>(done);
}

void Link::charge(Time now) {
  const double seconds = std::chrono::duration<double>(now - charged_).count();
  charged_ = now;
  credit_ = std::min(credit_ + seconds * kWorkPerSecond, kWorkAtOnce) - watch_.take_cost();
  if (credit_ >= 0) return;
  rests_until_ = now + std::chrono::milliseconds(static_cast<int64_t>(-credit_ / kWorkPerSecond * 1000) + 1);
}

void Link::finish_way(Side from) {
  Way& way = ways_[from];
  if (way.closed) {
    if (from == kClient && lingers()) over_ = true;
    return;
  }
  way.closed = true;
  ::shutdown(sockets_[1 - from].fd(), SHUT_WR);
  if (ways_[1 - from].closed) over_ = true;
}

void Link::end(const char* why, uint32_t error_code) {
  over_ = true;
  if (ways_[kServer].closed || owes_client() || !watch_.between_server_frames()) return;
  const std::string frame = goodbye(why, error_code);
  (void)::send(sockets_[kClient].fd(), frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace halftone
