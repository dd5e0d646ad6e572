// One client's connection: requests and answers in turn, each with its limits of time and bytes. I/O loop's thread.
//
//   (idle request answer)* linger?
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "server/http/connections.h"
#include "server/http/http_server.h"
#include "server/http/response.h"
#include "server/http/site.h"

namespace halftone {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = std::chrono::steady_clock;
  using Executor = boost::asio::io_context::executor_type;
  using Stream = boost::asio::basic_stream_socket<boost::asio::ip::tcp, Executor>;

  // `config`, `site` and `all` outlive the loop.
  Connection(Stream socket, const HttpConfig& config, Site& site, Connections& all);

  // Joins `all` and waits for a request.
  void begin();
  // At once, whatever it does; leaves `all`. May be called twice.
  void close();

 private:
  using Error = boost::system::error_code;

  void wait_at_most(std::chrono::milliseconds time);
  void read_request();
  void on_request(Error error);
  void refuse(Error error);
  void send(SharedHttpResponse answer);
  void on_sent();
  void linger();
  void drop_input(size_t so_far);
  // The client sends no more, but may still read.
  void close_when_taken();

  Stream socket_;
  boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>, Executor> deadline_;
  const HttpConfig& config_;
  Site& site_;
  Connections& all_;
  Connections::Place place_;
  boost::beast::flat_buffer buffer_;  // what the client sent and nobody read; the next requests among it
  std::optional<boost::beast::http::request_parser<boost::beast::http::empty_body>> parser_;
  int requests_ = 0;
  bool head_only_ = false, last_ = false;
  std::string head_;           // of the answer that is sent
  SharedHttpResponse answer_;  // the same
};

}  // namespace halftone
