#include "server/http/connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace halftone {
namespace {

constexpr std::chrono::milliseconds kLinger{100};
constexpr size_t kLingerBytes = 65536;

bool again(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

Connection::Connection(Socket socket, int stop_fd, const HttpConfig& config, const std::atomic<int>& idle_threads)
    : socket_(std::move(socket)), stop_fd_(stop_fd), config_(config), idle_threads_(idle_threads) {}

bool Connection::wait(short events, Clock::time_point deadline) const {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
  if (left.count() <= 0) return false;
  pollfd fds[2] = {{socket_.fd(), events, 0}, {stop_fd_, POLLIN, 0}};
  const int ready = ::poll(fds, 2, static_cast<int>(left.count()) + 1);
  if (ready < 0) return errno == EINTR;
  return ready > 0 && fds[1].revents == 0;
}

bool Connection::wait_to_read() const {
  const Clock::time_point patient = start_ + std::min(config_.patience, config_.request_time);
  if (wait(POLLIN, patient)) return true;
  while (idle_threads_.load() > 0) {
    const Clock::time_point end = start_ + config_.request_time;
    const Clock::time_point now = Clock::now();
    if (now >= end) return false;
    if (wait(POLLIN, std::min(end, now + config_.patience))) return true;
    pollfd stop = {stop_fd_, POLLIN, 0};
    if (::poll(&stop, 1, 0) != 0) return false;
  }
  return false;
}

ssize_t Connection::fill() {
  while (true) {
    const size_t room = std::min(buffer_.size(), config_.max_request_bytes - received_);
    if (room == 0 || !wait_to_read()) return -1;
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
    } else if (!again(errno) || !wait(POLLOUT, write_deadline_)) {
      return -1;
    }
  }
  return static_cast<ssize_t>(size);
}

void Connection::close_gently() {
  ::shutdown(socket_.fd(), SHUT_WR);
  const Clock::time_point deadline = Clock::now() + kLinger;
  for (size_t thrown_away = 0; thrown_away < kLingerBytes;) {
    if (!wait(POLLIN, deadline)) return;
    const ssize_t count = ::recv(socket_.fd(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (count == 0 || (count < 0 && !again(errno))) return;
    thrown_away += static_cast<size_t>(std::max<ssize_t>(count, 0));
  }
}

}  // namespace halftone
