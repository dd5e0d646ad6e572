// What streams were given to do and have not done. Streams are independent of each other, so nothing happens before
// somebody waits for it; the default stream (null) is in order with every other, as the runtime's legacy one is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

namespace halftone::cuda_host::machine {

class Stream;

struct HostRange {
  const void* first = nullptr;
  size_t bytes = 0;

  bool overlaps(const HostRange& other) const;
};

struct Operation {
  std::function<void()> happen;
  HostRange reads, writes;  // memory of the host
};

class WorkQueue {
 public:
  static constexpr uint64_t kAll = std::numeric_limits<uint64_t>::max();

  // Returns the operation's number. What it will write to the host is poisoned until then, unless work before it still
  // has to read it.
  uint64_t add(const Stream* stream, Operation operation);

  // Lets happen what the stream was given up to this number, and what that has to wait for, as long as `proceed`.
  void finish(const Stream* stream, uint64_t until, const std::function<bool()>& proceed);
  void finish_all(const std::function<bool()>& proceed);
  void clear() { work_.clear(); }

 private:
  struct Item {
    uint64_t number;
    const Stream* stream;
    Operation operation;
    bool wanted;
  };
  void run_wanted(const std::function<bool()>& proceed);

  std::vector<Item> work_;  // in the order it was given
  uint64_t last_ = 0;
};

}  // namespace halftone::cuda_host::machine
