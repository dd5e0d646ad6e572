#include "tests/server/http/raw_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

namespace halftone {
namespace {

int connect_to(const sockaddr* address, socklen_t size, int receive_buffer) {
  const int fd = ::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && receive_buffer > 0) {
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
  }
  if (fd >= 0 && ::connect(fd, address, size) == 0) return fd;
  if (fd >= 0) ::close(fd);
  return -1;
}

int connect_to_loopback(int port, bool ipv6, int receive_buffer) {
  if (ipv6) {
    sockaddr_in6 address = {};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    address.sin6_port = htons(static_cast<uint16_t>(port));
    return connect_to(reinterpret_cast<const sockaddr*>(&address), sizeof(address), receive_buffer);
  }
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return connect_to(reinterpret_cast<const sockaddr*>(&address), sizeof(address), receive_buffer);
}

}  // namespace

RawClient::RawClient(int port, bool ipv6, int receive_buffer) : fd_(connect_to_loopback(port, ipv6, receive_buffer)) {}

RawClient::~RawClient() {
  if (fd_ >= 0) ::close(fd_);
}

bool RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

void RawClient::end_sending() { ::shutdown(fd_, SHUT_WR); }

std::string RawClient::read_all(std::chrono::milliseconds time, bool* hung_up) {
  const auto deadline = std::chrono::steady_clock::now() + time;
  std::string result;
  char buffer[4096];
  if (hung_up != nullptr) *hung_up = true;
  while (true) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    pollfd fd = {fd_, POLLIN, 0};
    if (left <= 0 || ::poll(&fd, 1, static_cast<int>(left)) <= 0) {
      if (hung_up != nullptr) *hung_up = false;
      return result;
    }
    const ssize_t count = ::recv(fd_, buffer, sizeof(buffer), 0);
    if (count <= 0) return result;
    result.append(buffer, static_cast<size_t>(count));
  }
}

bool RawClient::hung_up() const {
  // Behind the answer the end cannot be seen; the system tells of it.
  pollfd fd = {fd_, POLLRDHUP, 0};
  return ::poll(&fd, 1, 0) > 0;
}

bool RawClient::receive(std::chrono::steady_clock::time_point deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
  pollfd fd = {fd_, POLLIN, 0};
  if (left <= 0 || ::poll(&fd, 1, static_cast<int>(left)) <= 0) return false;
  char buffer[4096];
  const ssize_t count = ::recv(fd_, buffer, sizeof(buffer), 0);
  if (count > 0) unread_.append(buffer, static_cast<size_t>(count));
  return count > 0;
}

Answer RawClient::read_answer(std::chrono::milliseconds time) {
  const auto deadline = std::chrono::steady_clock::now() + time;
  size_t head = std::string::npos;
  while ((head = unread_.find("\r\n\r\n")) == std::string::npos) {
    if (!receive(deadline)) return {};
  }
  const size_t length = unread_.find("Content-Length: ");
  const size_t size = head + 4 + (length < head ? std::strtoull(unread_.c_str() + length + 16, nullptr, 10) : 0);
  while (unread_.size() < size) {
    if (!receive(deadline)) return {};
  }
  Answer answer = parse_answer(unread_.substr(0, size));
  unread_.erase(0, size);
  return answer;
}

Answer parse_answer(const std::string& bytes) {
  Answer answer;
  const size_t head = bytes.find("\r\n\r\n");
  if (bytes.rfind("HTTP/1.1 ", 0) != 0 || head == std::string::npos) return answer;
  answer.status = std::atoi(bytes.c_str() + 9);
  answer.headers = bytes.substr(bytes.find("\r\n") + 2, head - bytes.find("\r\n"));
  answer.body = bytes.substr(head + 4);
  return answer;
}

Answer ask(int port, const std::string& method, const std::string& path, const std::string& more_headers) {
  RawClient client(port);
  if (!client.connected()) return {};
  client.send(method + " " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + more_headers + "\r\n");
  return parse_answer(client.read_all(std::chrono::seconds(20)));
}

}  // namespace halftone
