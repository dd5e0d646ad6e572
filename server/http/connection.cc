#include "server/http/connection.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace halftone {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr size_t kLingerBytes = 256 << 10;
constexpr size_t kLingerBlock = 4096;

// Sent, but not taken by the client so far.
bool bytes_left(int fd) {
  int left = 0;
  return ::ioctl(fd, SIOCOUTQ, &left) == 0 && left > 0;
}

// Of Beast's parser, not of the socket.
bool is_of_the_request(const boost::system::error_code& error) {
  return error.category() == http::make_error_code(http::error::end_of_stream).category();
}

}  // namespace

Connection::Connection(Stream socket, const HttpConfig& config, Site& site, Connections& all)
    : socket_(std::move(socket)),
      deadline_(socket_.get_executor()),
      config_(config),
      site_(site),
      all_(all),
      buffer_(config.max_request_bytes) {}

void Connection::begin() {
  place_ = all_.add(shared_from_this());
  read_request();
}

void Connection::close() {
  const auto self = shared_from_this();  // leaving may end the last other reference
  if (place_.list == nullptr) return;
  Error ignored;
  // A plain close would leave those bytes in the system for minutes.
  if (bytes_left(socket_.native_handle())) socket_.set_option(boost::asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
  deadline_.cancel(ignored);
  all_.remove(place_);
}

void Connection::wait_at_most(std::chrono::milliseconds time) {
  deadline_.expires_after(time);
  deadline_.async_wait([weak = weak_from_this()](Error error) {
    const auto self = weak.lock();
    if (self && !error && self->deadline_.expiry() <= Clock::now()) self->close();
  });
}

void Connection::read_request() {
  parser_.emplace();
  parser_->header_limit(static_cast<uint32_t>(config_.max_request_bytes));
  parser_->body_limit(config_.max_body_bytes);
  wait_at_most(config_.request_time);
  http::async_read_header(socket_, buffer_, *parser_,
                          [self = shared_from_this()](Error error, size_t) { self->on_request(error); });
}

void Connection::on_request(Error error) {
  if (place_.list == nullptr) return;
  if (error) return refuse(error);
  const auto& request = parser_->get();
  // A body is never read: what follows it is no request.
  const bool has_body =
      parser_->content_length().value_or(0) > 0 || request.find(http::field::transfer_encoding) != request.end();
  ++requests_;
  last_ = requests_ >= config_.max_requests || request.version() != 11 || !parser_->keep_alive() || has_body;
  head_only_ = request.method() == http::verb::head;
  if (request.version() != 10 && request.version() != 11) return send(plain_text(505, "only HTTP/1.1 and 1.0\n"));
  all_.is_served(place_);
  Error ignored;
  deadline_.cancel(ignored);
  site_.answer({std::string(request.method_string()), std::string(request.target()),
                std::string(request[http::field::accept_encoding])},
               [weak = weak_from_this(), executor = socket_.get_executor()](SharedHttpResponse answer) {
                 asio::post(executor, [weak, answer = std::move(answer)]() mutable {
                   if (const auto self = weak.lock()) self->send(std::move(answer));
                 });
               });
}

void Connection::refuse(Error error) {
  if (!is_of_the_request(error)) return close();
  if (error == http::error::end_of_stream || error == http::error::partial_message) return close_when_taken();
  last_ = true;
  head_only_ = false;
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return send(plain_text(431, "request line and headers are too long\n"));
  }
  if (error == http::error::body_limit) return send(plain_text(413, "the body is too long\n"));
  send(plain_text(400, "this is no request of HTTP/1.1\n"));
}

void Connection::send(SharedHttpResponse answer) {
  if (place_.list == nullptr) return;
  answer_ = std::move(answer);
  last_ = last_ || answer_->status >= 400;
  head_ = head_of(*answer_, last_);
  all_.waits(place_);
  wait_at_most(config_.response_time);
  const std::array<asio::const_buffer, 2> bytes = {asio::buffer(head_),
                                                   head_only_ ? asio::const_buffer() : asio::buffer(answer_->body)};
  asio::async_write(socket_, bytes, [self = shared_from_this()](Error error, size_t) {
    self->answer_.reset();
    return error ? self->close() : self->on_sent();
  });
}

void Connection::on_sent() {
  if (place_.list == nullptr) return;
  if (last_) return linger();
  all_.waits(place_);
  if (buffer_.size() > 0) return read_request();
  wait_at_most(config_.idle_time);
  socket_.async_wait(Stream::wait_read,
                     [self = shared_from_this()](Error error) { return error ? self->close() : self->read_request(); });
}

// A plain close while the client still sends would make the system throw away what was answered. What is left of
// response_time goes on.
void Connection::linger() {
  Error error;
  socket_.shutdown(Stream::shutdown_send, error);
  if (error) return close();
  drop_input(0);
}

void Connection::drop_input(size_t so_far) {
  buffer_.clear();
  socket_.async_read_some(buffer_.prepare(std::min(kLingerBlock, buffer_.max_size())),
                          [self = shared_from_this(), so_far](Error error, size_t count) {
                            if (error == asio::error::eof) return self->close_when_taken();
                            const bool enough = error || so_far + count >= kLingerBytes;
                            return enough ? self->close() : self->drop_input(so_far + count);
                          });
}

void Connection::close_when_taken() {
  if (place_.list == nullptr) return;
  if (!bytes_left(socket_.native_handle())) return close();
  wait_at_most(config_.response_time);  // the system sends on; nothing tells when it is done
}

}  // namespace halftone
