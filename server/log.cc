#include "server/log.h"

#include <poll.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/threads.h"

namespace halftone {
namespace {

constexpr size_t kLongestText = 4000;      // bytes of a line
constexpr size_t kQueueBytes = 256 << 10;  // of lines that nobody has read yet
constexpr size_t kWriteBytes = 4096;       // what a pipe that is ready takes without waiting
constexpr std::chrono::seconds kLastLines{1};
constexpr const char* kPattern = "%H:%M:%S %^%l%$ %v";

// Length of the sequence at the front, and its code point; length 0 where it is not UTF-8.
std::pair<size_t, uint32_t> decode(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return {1, first};
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return {0, 0};
  uint32_t code = first & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {0, 0};
    code = code << 6 | (byte(i) & 0x3fu);
  }
  const uint32_t least = length == 4 ? 0x10000 : length == 3 ? 0x800 : 0x80;
  if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {0, 0};
  return {length, code};
}

bool is_plain(uint32_t code) {
  if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;
  return !(code >= 0x2028 && code <= 0x202e) && !(code >= 0x2066 && code <= 0x2069) && code != 0x200e && code != 0x200f;
}

std::string escaped(uint32_t code) {
  if (code == '\n') return "\\n";
  if (code == '\t') return "\\t";
  if (code == '\r') return "\\r";
  char text[8];
  std::snprintf(text, sizeof(text), code < 0x100 ? "\\x%02x" : "\\u%04x", code);
  return text;
}

}  // namespace

std::string log_text(std::string_view text) {
  std::string line;
  const size_t whole = text.size();
  while (!text.empty()) {
    if (line.size() >= kLongestText) return absl::StrCat(line, "… (", whole, " bytes)");
    const auto [length, code] = decode(text);
    if (length > 0 && is_plain(code)) {
      line.append(text.substr(0, length));
    } else {
      line += escaped(length > 0 ? code : static_cast<uint8_t>(text[0]));
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return line;
}

// The queue of lines and the thread that writes them, which may have to be left behind in a write that nobody reads.
class Log::Writer {
 public:
  explicit Writer(int descriptor) : descriptor_(descriptor), colours_(::isatty(descriptor) == 1) {}

  bool colours() const { return colours_; }

  void add(const std::string& line) {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() + line.size() > kQueueBytes) {
      ++left_out_;
    } else {
      if (left_out_ > 0) absl::StrAppend(&waiting_, std::exchange(left_out_, 0), " lines of the log left out\n");
      waiting_ += line;
    }
    changed_.notify_all();
  }

  // Until add() has nothing more to say; then waits for what is there.
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return ends_ || !waiting_.empty(); });
      if (waiting_.empty()) break;
      const std::string lines = std::exchange(waiting_, {});
      lock.unlock();
      write(lines);
      lock.lock();
    }
    ended_ = true;
    changed_.notify_all();
  }

  // False where the last lines are not read in time.
  bool finish() {
    std::unique_lock lock(mutex_);
    if (left_out_ > 0) absl::StrAppend(&waiting_, std::exchange(left_out_, 0), " lines of the log left out\n");
    ends_ = true;
    changed_.notify_all();
    return changed_.wait_for(lock, kLastLines, [this] { return ended_; });
  }

  std::thread thread;

 private:
  void write(std::string_view lines) {
    while (!lines.empty() && !gone_) {
      pollfd polled = {descriptor_, POLLOUT, 0};
      if (::poll(&polled, 1, -1) < 0 && errno != EINTR) return;
      const ssize_t count = ::write(descriptor_, lines.data(), std::min(lines.size(), kWriteBytes));
      if (count >= 0) {
        lines.remove_prefix(static_cast<size_t>(count));
      } else if (errno != EAGAIN && errno != EINTR) {
        gone_ = errno == EPIPE || errno == EBADF;
        return;
      }
    }
  }

  const int descriptor_;
  const bool colours_;
  bool gone_ = false;  // the writing thread only
  std::mutex mutex_;   // of what follows
  std::condition_variable changed_;
  std::string waiting_;
  uint64_t left_out_ = 0;
  bool ends_ = false, ended_ = false;
};

namespace {

std::string coloured(std::string line, const spdlog::details::log_msg& message) {
  const char* colour = message.level >= spdlog::level::err    ? "\033[31m"
                       : message.level == spdlog::level::warn ? "\033[33m"
                                                              : "\033[32m";
  line.insert(message.color_range_end, "\033[m");
  line.insert(message.color_range_start, colour);
  return line;
}

template <class Writer>
class EscapingSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit EscapingSink(std::shared_ptr<Writer> writer) : writer_(std::move(writer)) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::string text = log_text({message.payload.data(), message.payload.size()});
    spdlog::details::log_msg clean = message;
    clean.payload = {text.data(), text.size()};
    spdlog::memory_buf_t buffer;
    formatter_->format(clean, buffer);
    const std::string line(buffer.data(), buffer.size());
    writer_->add(writer_->colours() ? coloured(line, clean) : line);
  }
  void flush_() override {}

  std::shared_ptr<Writer> writer_;
};

}  // namespace

Log::Log(int descriptor) : writer_(std::make_shared<Writer>(descriptor)) {
  std::signal(SIGPIPE, SIG_IGN);
  writer_->thread = thread_without_signals([writer = writer_] { writer->run(); });
  auto sink = std::make_shared<EscapingSink<Writer>>(writer_);
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("", std::move(sink)));
  spdlog::set_pattern(kPattern);
}

Log::~Log() {
  if (writer_->finish()) {
    writer_->thread.join();
  } else {
    writer_->thread.detach();
  }
}

}  // namespace halftone
