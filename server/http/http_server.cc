#include "server/http/http_server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include <cerrno>
#include <list>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/http/connection.h"
#include "server/http/connections.h"
#include "server/http/site.h"
#include "server/net/socket.h"
#include "server/threads.h"

namespace halftone {
namespace {

namespace asio = boost::asio;

constexpr size_t kReservedDescriptors = 8;
constexpr int kAcceptsInARow = 64;              // then others have their turn
constexpr std::chrono::milliseconds kRest{50};  // after a failed accept where nothing but waiting helps
constexpr int kSendBuffer = 64 << 10;           // of the system, which doubles it: what a deaf client holds
constexpr int kReceiveBuffer = 16 << 10;        // the same for what nobody reads
using Error = boost::system::error_code;

bool no_descriptors(int error) { return error == EMFILE || error == ENFILE; }

// Errors of the connection that would have been accepted: the next one may be well.
bool only_this_one(int error) { return error == ECONNABORTED || error == EINTR || error == EPROTO || error == EPERM; }

void set_option(const Socket& socket, int level, int name, int value) {
  ::setsockopt(socket.fd(), level, name, &value, sizeof(value));  // a wish: it works without, too
}

void set_up(const Socket& socket) {
  set_option(socket, SOL_SOCKET, SO_SNDBUF, kSendBuffer);
  set_option(socket, SOL_SOCKET, SO_RCVBUF, kReceiveBuffer);
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
}

}  // namespace

// The I/O loop: accepts, and carries what Connection does.
class HttpServer::Loop {
 public:
  // Throws what Boost.Asio throws where the system refuses.
  Loop(const HttpConfig& config, HttpContent content, std::vector<Socket> listeners)
      : config_(config), rest_(io_.get_executor()), port_(port_of(listeners.front())), site_(std::move(content)) {
    for (Socket& listener : listeners) {
      listeners_.emplace_back(io_.get_executor(), listener.fd());
      listener.release();
      wait_for_clients(listeners_.back());
    }
    thread_ = thread_without_signals([this] { io_.run(); });
  }
  ~Loop() { stop(); }

  int port() const { return port_; }

  void stop() {
    io_.stop();
    if (thread_.joinable()) thread_.join();
    site_.stop();
    for (Listener& listener : listeners_) {
      Error ignored;
      listener.close(ignored);
    }
    while (const auto connection = connections_.first_to_shed()) connection->close();
  }

 private:
  using Listener = asio::posix::basic_stream_descriptor<Connection::Executor>;
  using Timer =
      asio::basic_waitable_timer<Connection::Clock, asio::wait_traits<Connection::Clock>, Connection::Executor>;

  void wait_for_clients(Listener& listener) {
    listener.async_wait(Listener::wait_read, [this, &listener](Error error) {
      if (error == asio::error::operation_aborted) return;
      if (!error && accept_some(listener)) return wait_for_clients(listener);
      rest_.expires_after(kRest);
      rest_.async_wait([this, &listener](Error) { wait_for_clients(listener); });
    });
  }

  // False: nothing can be accepted for now.
  bool accept_some(Listener& listener) {
    for (int i = 0; i < kAcceptsInARow; ++i) {
      sockaddr_storage from = {};
      socklen_t size = sizeof(from);
      Socket socket(
          ::accept4(listener.native_handle(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (socket.fd() >= 0) {
        welcome(std::move(socket), from.ss_family);
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return true;
      } else if (no_descriptors(errno)) {
        if (!connections_.reserve().give() && !shed()) return false;
      } else if (!only_this_one(errno)) {
        return false;
      }
    }
    return true;
  }

  void welcome(Socket socket, int family) {
    while (connections_.size() >= config_.max_connections && shed()) {
    }
    set_up(socket);
    Connection::Stream stream(io_.get_executor());
    Error error;
    stream.assign(family == AF_INET6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4(), socket.fd(), error);
    if (error) return;
    socket.release();
    std::make_shared<Connection>(std::move(stream), config_, site_, connections_)->begin();
  }

  bool shed() {
    const auto connection = connections_.first_to_shed();
    if (connection) connection->close();
    return connection != nullptr;
  }

  const HttpConfig config_;
  asio::io_context io_{1};
  Timer rest_;
  const int port_;
  Connections connections_{kReservedDescriptors};
  Site site_;
  std::list<Listener> listeners_;
  std::thread thread_;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::start(const HttpConfig& config, HttpContent content) {
  absl::StatusOr<std::vector<Socket>> listeners = listen_on_all(config.address, config.port);
  if (!listeners.ok()) return listeners.status();
  try {
    auto loop = std::make_unique<Loop>(config, std::move(content), *std::move(listeners));
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(loop)));
  } catch (const std::exception& error) {  // of threads, descriptors or memory that the system does not give
    return absl::ResourceExhaustedError(absl::StrCat("cannot start the HTTP server: ", error.what()));
  }
}

HttpServer::HttpServer(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}

HttpServer::~HttpServer() { stop(); }

int HttpServer::port() const { return loop_->port(); }

void HttpServer::stop() { loop_->stop(); }

}  // namespace halftone
