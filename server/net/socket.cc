#include "server/net/socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace halftone {
namespace {

constexpr int kBacklog = 512;  // connections that wait to be accepted

std::string without_brackets(const std::string& address) {
  const bool bracketed = address.size() > 2 && address.front() == '[' && address.back() == ']';
  return bracketed ? address.substr(1, address.size() - 2) : address;
}

// Empty where it did not work; errno says why.
std::optional<Socket> try_listen(const addrinfo& info) {
  Socket socket(::socket(info.ai_family, info.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, info.ai_protocol));
  if (socket.fd() < 0) return std::nullopt;
  const int on = 1, off = 0;
  // Lets a restarted server listen while old connections linger; a living listener still refuses.
  if (::setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) return std::nullopt;
  // :: takes IPv4 as well, whatever the system's default is.
  if (info.ai_family == AF_INET6 && ::setsockopt(socket.fd(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) != 0) {
    return std::nullopt;
  }
  if (::bind(socket.fd(), info.ai_addr, info.ai_addrlen) != 0) return std::nullopt;
  if (::listen(socket.fd(), kBacklog) != 0) return std::nullopt;
  return socket;
}

void set_port(addrinfo& info, int port) {
  const auto wire = htons(static_cast<uint16_t>(port));
  if (info.ai_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(info.ai_addr)->sin6_port = wire;
  } else {
    reinterpret_cast<sockaddr_in*>(info.ai_addr)->sin_port = wire;
  }
}

// A name may stand for several addresses, some of a family that this machine does not have.
bool may_try_next(int error) { return error == EAFNOSUPPORT || error == EADDRNOTAVAIL; }

}  // namespace

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

int Socket::release() { return std::exchange(fd_, -1); }

Socket::~Socket() {
  const int error = errno;  // whoever returns because of an error still wants to tell it
  if (fd_ >= 0) ::close(fd_);
  errno = error;
}

absl::StatusOr<std::vector<Socket>> listen_on_all(const std::string& address, int port) {
  const std::string where = endpoint_text(address, port);
  if (port < 0 || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("cannot listen on ", where, ": a port is 0 to 65535"));
  }
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int failure = ::getaddrinfo(without_brackets(address).c_str(), std::to_string(port).c_str(), &hints, &list);
  if (failure != 0) {
    return absl::InvalidArgumentError(absl::StrCat("cannot listen on ", where, ": ", ::gai_strerror(failure)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
  std::vector<Socket> sockets;
  int error = EADDRNOTAVAIL;
  for (addrinfo* info = list; info != nullptr; info = info->ai_next) {
    if (!sockets.empty()) set_port(*info, port_of(sockets.front()));
    std::optional<Socket> socket = try_listen(*info);
    if (socket) {
      sockets.push_back(std::move(*socket));
    } else if (error = errno; !may_try_next(error)) {
      return absl::ErrnoToStatus(error, absl::StrCat("cannot listen on ", where));
    }
  }
  if (sockets.empty()) return absl::ErrnoToStatus(error, absl::StrCat("cannot listen on ", where));
  return sockets;
}

absl::StatusOr<Socket> listen_on(const std::string& address, int port) {
  absl::StatusOr<std::vector<Socket>> sockets = listen_on_all(address, port);
  if (!sockets.ok()) return sockets.status();
  return std::move(sockets->front());
}

int port_of(const Socket& socket) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  if (::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return -1;
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

std::string endpoint_text(const std::string& address, int port) {
  const bool bare_ipv6 = address.find(':') != std::string::npos && address.front() != '[';
  return bare_ipv6 ? absl::StrCat("[", address, "]:", port) : absl::StrCat(address, ":", port);
}

}  // namespace halftone
