// Listening, threads and limits are ours; cpp-httplib parses the request and writes the answer. Its own accept loop
// ends for good at the first unusual error, shares a taken port without a word, and bounds neither a request's bytes
// nor its time.
#include "server/http/http_server.h"

#include <httplib.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/http/connection.h"
#include "server/net/socket.h"

namespace halftone {
namespace {

constexpr int kRestMilliseconds = 50;  // after a failed accept (no descriptors left): waiting is all that helps
constexpr const char* kText = "text/plain; charset=utf-8";
constexpr const char* kExposition = "text/plain; version=0.0.4; charset=utf-8";

// Hands cpp-httplib a bounded connection.
class Stream : public httplib::Stream {
 public:
  explicit Stream(Connection& connection) : connection_(connection) {}

  bool is_readable() const override { return true; }
  bool is_writable() const override { return true; }
  ssize_t read(char* to, size_t size) override { return connection_.read(to, size); }
  ssize_t write(const char* from, size_t size) override { return connection_.write(from, size); }
  void get_remote_ip_and_port(std::string& ip, int& port) const override { nowhere(ip, port); }
  void get_local_ip_and_port(std::string& ip, int& port) const override { nowhere(ip, port); }
  // It would refuse descriptors above 1023, for a select() that we never reach.
  socket_t socket() const override { return INVALID_SOCKET; }

 private:
  static void nowhere(std::string& ip, int& port) {
    ip.clear();
    port = 0;
  }

  Connection& connection_;
};

// What to answer. Never listens.
class Responder : public httplib::Server {
 public:
  explicit Responder(HttpContent content) : content_(std::move(content)) {
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      respond(request, response);
      return HandlerResponse::Handled;
    });
  }

  void answer(Connection& connection) {
    Stream stream(connection);
    bool closed = true;
    // A range asked for many times over would multiply the page.
    process_request(stream, /*close_connection=*/true, closed,
                    [](httplib::Request& request) { request.ranges.clear(); });
  }

 private:
  void respond(const httplib::Request& request, httplib::Response& response) const {
    if (request.method != "GET" && request.method != "HEAD") {
      response.set_header("Allow", "GET, HEAD");
      say(response, 405, "only GET and HEAD\n");
    } else if (request.path == "/metrics") {
      response.status = 200;
      response.set_content(content_.metrics(), kExposition);
    } else if (request.path == "/healthz") {
      respond_health(response);
    } else if (request.path == "/") {
      say(response, 200, "/metrics  what is counted, for Prometheus\n/healthz  200 while requests are served\n");
    } else {
      say(response, 404, "not found; there are /metrics and /healthz\n");
    }
  }

  void respond_health(httplib::Response& response) const {
    switch (content_.health()) {
      case Health::kServing:
        return say(response, 200, "ok\n");
      case Health::kLoading:
        return say(response, 503, "loading\n");
      case Health::kDraining:
        return say(response, 503, "draining\n");
    }
  }

  static void say(httplib::Response& response, int status, const char* text) {
    response.status = status;
    response.set_content(text, kText);
  }

  HttpContent content_;
};

void block_signals() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are main's
}

}  // namespace

// The threads. Each waits for a connection, answers it, closes it.
class HttpServer::Workers {
 public:
  Workers(const HttpConfig& config, HttpContent content, Socket listener, Socket stop)
      : config_(config), responder_(std::move(content)), listener_(std::move(listener)), stop_(std::move(stop)) {
    idle_ = config_.threads;
    for (int i = 0; i < config_.threads; ++i) {
      threads_.emplace_back([this] { run(); });
    }
  }

  int port() const { return port_of(listener_); }

  void stop() {
    ::eventfd_write(stop_.fd(), 1);  // never read: it stays readable for every thread
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  void run() {
    block_signals();
    while (wait_for_connection()) {
      Socket socket(::accept4(listener_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (socket.fd() >= 0) {
        idle_.fetch_sub(1);
        serve(std::move(socket));
        idle_.fetch_add(1);
      } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR && errno != ECONNABORTED) {
        pollfd stop = {stop_.fd(), POLLIN, 0};
        ::poll(&stop, 1, kRestMilliseconds);
      }
    }
  }

  bool wait_for_connection() const {
    pollfd fds[2] = {{listener_.fd(), POLLIN, 0}, {stop_.fd(), POLLIN, 0}};
    ::poll(fds, 2, -1);
    return fds[1].revents == 0;
  }

  void serve(Socket socket) {
    Connection connection(std::move(socket), stop_.fd(), config_, idle_);
    responder_.answer(connection);
    connection.close_gently();
  }

  const HttpConfig config_;
  Responder responder_;
  Socket listener_;
  Socket stop_;  // an eventfd
  std::atomic<int> idle_{0};
  std::vector<std::thread> threads_;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::start(const HttpConfig& config, HttpContent content) {
  if (config.threads < 1) return absl::InvalidArgumentError("the HTTP server needs at least one thread");
  absl::StatusOr<Socket> listener = listen_on(config.address, config.port);
  if (!listener.ok()) return listener.status();
  Socket stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (stop.fd() < 0) return absl::ErrnoToStatus(errno, "cannot make an eventfd for the HTTP server");
  auto workers = std::make_unique<Workers>(config, std::move(content), *std::move(listener), std::move(stop));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(workers)));
}

HttpServer::HttpServer(std::unique_ptr<Workers> workers) : workers_(std::move(workers)) {}

HttpServer::~HttpServer() { stop(); }

int HttpServer::port() const { return workers_->port(); }

void HttpServer::stop() { workers_->stop(); }

}  // namespace halftone
