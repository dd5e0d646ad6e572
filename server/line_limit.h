// Limits how many lines per second are logged of one kind that outsiders can cause. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

namespace halftone {

class LineLimit {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit LineLimit(uint32_t lines_per_second) : most_(lines_per_second) {}
  // How many were left out before this one; nothing where this one is, too.
  std::optional<uint64_t> may_write(Time now) {
    const std::lock_guard lock(mutex_);
    if (now - second_ >= std::chrono::seconds(1)) {
      second_ = now;
      written_ = 0;
    }
    if (written_ >= most_) {
      ++left_out_;
      return std::nullopt;
    }
    ++written_;
    return std::exchange(left_out_, 0);
  }

 private:
  std::mutex mutex_;
  const uint32_t most_;
  Time second_ = {};
  uint32_t written_ = 0;
  uint64_t left_out_ = 0;
};

}  // namespace halftone
