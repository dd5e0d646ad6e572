#include "server/net/probe.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>

namespace halftone {
namespace {

using Clock = std::chrono::steady_clock;
using std::string_view_literals::operator""sv;

constexpr auto kQuestion =
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    "\0\0\0\4\0\0\0\0\0"
    "\0\0\x08\6\0\0\0\0\0halftone"sv;
constexpr auto kAnswer = "\0\0\x08\6\1\0\0\0\0halftone"sv;
constexpr size_t kLongestAnswer = 4096;

sockaddr* generic(sockaddr_in6& address) { return reinterpret_cast<sockaddr*>(&address); }

bool wait(const Socket& socket, short events, Clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  pollfd polled = {socket.fd(), events, 0};
  return ::poll(&polled, 1, static_cast<int>(std::max<int64_t>(left, 0))) > 0;
}

}  // namespace

Probe::Probe(const Socket& listener) {
  ::getsockname(listener.fd(), generic(target_), &size_);
  if (target_.sin6_family == AF_INET6) {
    if (IN6_IS_ADDR_UNSPECIFIED(&target_.sin6_addr)) target_.sin6_addr = in6addr_loopback;
  } else {
    in_addr& address = reinterpret_cast<sockaddr_in&>(target_).sin_addr;
    if (address.s_addr == htonl(INADDR_ANY)) address.s_addr = htonl(INADDR_LOOPBACK);
  }
}

bool Probe::ask(std::chrono::milliseconds time) {
  const Clock::time_point deadline = Clock::now() + time;
  const Socket socket(::socket(target_.sin6_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.fd() < 0) return false;
  sockaddr_in6 own = target_;
  own.sin6_port = 0;  // where a sockaddr_in has it, too
  if (::bind(socket.fd(), generic(own), size_) != 0) return false;
  last_port_ = port_of(socket);
  if (::connect(socket.fd(), generic(target_), size_) != 0 && errno != EINPROGRESS) return false;
  if (!wait(socket, POLLOUT, deadline)) return false;
  if (::send(socket.fd(), kQuestion.data(), kQuestion.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(kQuestion.size())) {
    return false;
  }
  std::string heard;
  while (heard.find(kAnswer) == std::string::npos) {
    char bytes[512];
    if (heard.size() > kLongestAnswer || !wait(socket, POLLIN, deadline)) return false;
    const ssize_t count = ::recv(socket.fd(), bytes, sizeof(bytes), 0);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return false;
    heard.append(bytes, static_cast<size_t>(std::max<ssize_t>(count, 0)));
  }
  return true;
}

}  // namespace halftone
