// A client that may misbehave: raw bytes over loopback.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace halftone {

class RawClient {
 public:
  // Connects to 127.0.0.1, or to ::1; connected() says whether that worked. `receive_buffer`, bytes: how much the
  // system takes for a client that reads nothing; 0: the system's default.
  explicit RawClient(int port, bool ipv6 = false, int receive_buffer = 0);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return fd_ >= 0; }
  bool send(std::string_view bytes);  // false when the server has hung up
  void end_sending();
  // Everything until the server hangs up; `*hung_up` false when it did not within the time.
  std::string read_all(std::chrono::milliseconds time, bool* hung_up = nullptr);

  // Whether the server has hung up by now. What it sent is not read.
  bool hung_up() const;
  // The next answer of a connection that stays open: as many bytes of body as its header says.
  struct Answer read_answer(std::chrono::milliseconds time);

 private:
  bool receive(std::chrono::steady_clock::time_point deadline);

  int fd_;
  std::string unread_;  // came after the answer that was read
};

struct Answer {
  int status = 0;       // 0: there was none
  std::string headers;  // lines as they came
  std::string body;
};

Answer parse_answer(const std::string& bytes);

// One well-behaved request, on a connection of its own.
Answer ask(int port, const std::string& method, const std::string& path, const std::string& more_headers = "");

}  // namespace halftone
