// Where work on text is done that stands before the engine's door: parsing, rendering, encoding, and answers made of
// it. A few threads of its own and bounds in number and in bytes, so that gRPC's threads never wait and memory does not
// grow with the number of clients. A call is charged from its message until its answer is read. Any thread, but for
// what is marked.
//
//   enter run [hold | hand_on] [watch] ~Place
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "server/engine/engine.h"
#include "server/engine/mutex.h"
#include "server/metrics/metrics.h"

namespace halftone {

struct TextDeskConfig {
  int threads = 2;                           // at least 2: the first takes small messages only, so that these pass
  uint64_t large_bytes = 64 << 10;           // of a message that is not small
  uint32_t max_calls = 1024;                 // at the desk: whose work is not done, or whose answer is not read
  uint64_t max_bytes = 256 << 20;            // charged to all calls together
  Nanoseconds stall_limit = 60'000'000'000;  // an answer that nobody reads for so long is given up
};

class TextDesk {
 public:
  struct Load {
    uint32_t calls = 0;
    uint64_t bytes = 0;
  };

  // A call's share of the bounds; gives it back when it ends. Outlived by the desk; one thread at a time.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept : desk_(std::exchange(other.desk_, nullptr)), id_(other.id_) {}
    Place& operator=(Place&& other) noexcept;
    ~Place() { leave(); }

    // From now on the call holds that many bytes. RESOURCE_EXHAUSTED where it is more than before and they are not
    // free.
    absl::Status hold(uint64_t bytes);
    // The same of a call that the engine took over: it is at the desk no more, but its answer is still charged.
    absl::Status hand_on(uint64_t bytes);
    // The answer waits for its reader from now on. `give_up` is called once, if the place still exists after the stall
    // limit; it must not end the place itself, nor wait for anybody who does.
    void watch(std::function<void()> give_up);

   private:
    friend class TextDesk;
    Place(TextDesk* desk, uint64_t id) : desk_(desk), id_(id) {}
    void leave();
    absl::Status charge(uint64_t bytes, bool at_desk);

    TextDesk* desk_ = nullptr;
    uint64_t id_ = 0;
  };

  // Borrowed: metrics outlive the desk. `clock`: the engine's.
  TextDesk(const TextDeskConfig& config, Metrics& metrics, std::function<Nanoseconds()> clock);
  ~TextDesk();  // does what was given to it before; every Place is gone by then

  // RESOURCE_EXHAUSTED, with RetryInfo, where the desk is full.
  absl::StatusOr<Place> enter(uint64_t message_bytes);
  // Does `work` on one of the desk's threads, in the order of arrival among messages of its size.
  void run(uint64_t message_bytes, std::function<void()> work);

  // Memory that somebody else gave back to the allocator; the desk sees to it that the system gets it.
  void note_freed(uint64_t bytes);
  Load load() const;
  const TextDeskConfig& config() const { return config_; }

 private:
  struct Entry {
    uint64_t bytes = 0;
    bool at_desk = true;
    Nanoseconds unread_since = 0;
    std::function<void()> give_up;  // empty: nothing waits to be read
  };
  struct Task {
    uint64_t bytes = 0;
    std::function<void()> run;
  };

  void serve(bool small_only);
  Task next(bool small_only) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void tidy();  // a thread of its own: gives up what nobody reads, and memory back to the system
  void give_up_unread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status full(uint64_t more) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const TextDeskConfig config_;
  Metrics& metrics_;
  const std::function<Nanoseconds()> clock_;
  mutable Mutex mutex_;
  Condition work_came_;
  Condition tidy_wakes_;
  std::deque<Task> small_ ABSL_GUARDED_BY(mutex_), large_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, Entry> places_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 0;
  Load load_ ABSL_GUARDED_BY(mutex_);
  uint64_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;      // of the messages in both queues
  double seconds_per_byte_ ABSL_GUARDED_BY(mutex_) = 1e-7;  // moving average
  uint64_t freed_bytes_ ABSL_GUARDED_BY(mutex_) = 0;        // since memory was given back
  uint32_t watched_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;  // last: they use the rest
};

}  // namespace halftone
