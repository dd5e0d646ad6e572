#include "server/http/listener.h"

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

constexpr int kBacklog = 64;  // connections that wait for a thread

std::string without_brackets(const std::string& address) {
  const bool bracketed = address.size() > 2 && address.front() == '[' && address.back() == ']';
  return bracketed ? address.substr(1, address.size() - 2) : address;
}

// Empty when it worked; errno says why not.
std::optional<Socket> try_listen(const addrinfo& info) {
  Socket socket(::socket(info.ai_family, info.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, info.ai_protocol));
  if (socket.fd() < 0) return std::nullopt;
  const int on = 1;  // lets a restarted server listen while old connections linger; a living listener still refuses
  if (::setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) return std::nullopt;
  if (::bind(socket.fd(), info.ai_addr, info.ai_addrlen) != 0) return std::nullopt;
  if (::listen(socket.fd(), kBacklog) != 0) return std::nullopt;
  return socket;
}

// A name may stand for several addresses, some of a family that this machine does not have.
bool may_try_next(int error) { return error == EAFNOSUPPORT || error == EADDRNOTAVAIL; }

}  // namespace

Socket::~Socket() {
  const int error = errno;  // whoever returns because of an error still wants to tell it
  if (fd_ >= 0) ::close(fd_);
  errno = error;
}

absl::StatusOr<Socket> listen_on(const std::string& address, int port) {
  const std::string where = absl::StrCat(address, ":", port);
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
  int error = EADDRNOTAVAIL;
  for (const addrinfo* info = list; info != nullptr; info = info->ai_next) {
    std::optional<Socket> socket = try_listen(*info);
    if (socket) return std::move(*socket);
    error = errno;
    if (!may_try_next(error)) break;
  }
  return absl::ErrnoToStatus(error, absl::StrCat("cannot listen on ", where));
}

int port_of(const Socket& socket) {
  sockaddr_storage address = {};
  socklen_t size = sizeof(address);
  if (::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return -1;
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

}  // namespace halftone
