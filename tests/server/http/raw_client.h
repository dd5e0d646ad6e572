// A client that may misbehave: raw bytes over loopback.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace halftone {

class RawClient {
 public:
  // Connects to 127.0.0.1, or to ::1; connected() says whether that worked.
  explicit RawClient(int port, bool ipv6 = false);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return fd_ >= 0; }
  bool send(std::string_view bytes);  // false when the server has hung up
  void end_sending();
  // Everything until the server hangs up; `*hung_up` false when it did not within the time.
  std::string read_all(std::chrono::milliseconds time, bool* hung_up = nullptr);

 private:
  int fd_;
};

struct Answer {
  int status = 0;       // 0: there was none
  std::string headers;  // lines as they came
  std::string body;
};

Answer parse_answer(const std::string& bytes);

// One well-behaved request.
Answer ask(int port, const std::string& method, const std::string& path, const std::string& more_headers = "");

}  // namespace halftone
