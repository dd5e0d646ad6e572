#include "server/http/connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

namespace halftone {
namespace {

constexpr std::chrono::milliseconds kLinger{100};
constexpr size_t kLingerBytes = 65536;
constexpr std::chrono::milliseconds kShortestPatience{10};
constexpr std::chrono::milliseconds kLongestWait{60000};  // then the deadline is looked at again

bool again(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

Connection::Connection(Socket socket, int stop_fd, const HttpConfig& config, const std::atomic<int>& idle_threads)
    : socket_(std::move(socket)), stop_fd_(stop_fd), config_(config), idle_threads_(idle_threads) {}

Connection::Wait Connection::wait(short events, Clock::time_point deadline) const {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  pollfd fds[2] = {{socket_.fd(), events, 0}, {stop_fd_, POLLIN, 0}};
  const int count = ::poll(fds, 2, static_cast<int>(std::clamp<int64_t>(left, 0, kLongestWait.count())));
  if (fds[1].revents != 0) return Wait::kStop;
  return count > 0 ? Wait::kReady : Wait::kLate;
}

bool Connection::wait_to_read() const {
  const Clock::time_point end = start_ + config_.request_time;
  Clock::time_point until = start_ + config_.patience;
  while (true) {
    const Wait result = wait(POLLIN, std::min(until, end));
    if (result != Wait::kLate) return result == Wait::kReady;
    const Clock::time_point now = Clock::now();
    if (now >= end || (now >= until && idle_threads_.load() == 0)) return false;
    until = now + std::max(config_.patience, kShortestPatience);
  }
}

ssize_t Connection::fill() {
  while (true) {
    const size_t room = std::min(buffer_.size(), config_.max_request_bytes - received_);
    if (room == 0) return -1;
    too_slow_ = !wait_to_read();
    if (too_slow_) return -1;
    const ssize_t count = ::recv(socket_.fd(), buffer_.data(), room, MSG_DONTWAIT);
    if (count < 0 && again(errno)) continue;
    if (count > 0) received_ += static_cast<size_t>(count);
    first_ = 0;
    last_ = static_cast<size_t>(std::max<ssize_t>(count, 0));
    return count;
  }
}

ssize_t Connection::read(char* to, size_t size) {
  if (first_ == last_) {
    const ssize_t count = fill();
    if (count <= 0) return count;
  }
  const size_t count = std::min(size, last_ - first_);
  std::memcpy(to, buffer_.data() + first_, count);
  first_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t Connection::write(const char* from, size_t size) {
  if (write_deadline_ == Clock::time_point{}) write_deadline_ = Clock::now() + config_.response_time;
  for (size_t done = 0; done < size;) {
    const ssize_t count = ::send(socket_.fd(), from + done, size - done, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count > 0) {
      done += static_cast<size_t>(count);
    } else if (!again(errno) || Clock::now() >= write_deadline_ || wait(POLLOUT, write_deadline_) == Wait::kStop) {
      return -1;
    }
  }
  return static_cast<ssize_t>(size);
}

void Connection::close_gently() {
  if (too_slow_ || write_deadline_ == Clock::time_point{}) return;  // it had its time, or was told nothing
  ::shutdown(socket_.fd(), SHUT_WR);
  const Clock::time_point deadline = Clock::now() + kLinger;
  for (size_t thrown_away = 0; thrown_away < kLingerBytes;) {
    if (wait(POLLIN, deadline) != Wait::kReady) return;
    const ssize_t count = ::recv(socket_.fd(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (count == 0 || (count < 0 && !again(errno))) return;
    thrown_away += static_cast<size_t>(std::max<ssize_t>(count, 0));
  }
}

}  // namespace halftone
