#include "server/api/text_desk.h"

#include <malloc.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/contract/check.h"
#include "server/api/status_details.h"

namespace halftone {
namespace {

// What a call costs beside its message, and the copies of the message that live at one time: as it came, parsed,
// rendered, joined, composed, and the ids.
constexpr uint64_t kCallBytes = 4096;
constexpr uint64_t kCopies = 8;
constexpr double kNewest = 0.1;  // weight of the newest work in the mean
constexpr double kShortestRetrySeconds = 0.1, kLongestRetrySeconds = 30;
constexpr std::chrono::seconds kTidyInterval(1);
constexpr uint64_t kWorthTrimming = 4 << 20;

}  // namespace

TextDesk::Place& TextDesk::Place::operator=(Place&& other) noexcept {
  if (this == &other) return *this;
  leave();
  desk_ = std::exchange(other.desk_, nullptr);
  id_ = other.id_;
  return *this;
}

void TextDesk::Place::leave() {
  if (desk_ == nullptr) return;
  TextDesk& desk = *std::exchange(desk_, nullptr);
  MutexLock lock(desk.mutex_);
  const auto place = desk.places_.find(id_);
  desk.load_.bytes -= place->second.bytes;
  desk.load_.calls -= place->second.at_desk;
  desk.watched_ -= place->second.give_up ? 1 : 0;
  desk.freed_bytes_ += place->second.bytes;
  desk.places_.erase(place);
  if (desk.freed_bytes_ >= kWorthTrimming) desk.tidy_wakes_.notify_all();
  desk.publish();
}

absl::Status TextDesk::Place::hold(uint64_t bytes) { return charge(bytes, true); }
absl::Status TextDesk::Place::hand_on(uint64_t bytes) { return charge(bytes, false); }

absl::Status TextDesk::Place::charge(uint64_t bytes, bool at_desk) {
  HALFTONE_CHECK(desk_ != nullptr);
  MutexLock lock(desk_->mutex_);
  Entry& entry = desk_->places_.at(id_);
  if (bytes > entry.bytes && desk_->load_.bytes + (bytes - entry.bytes) > desk_->config_.max_bytes) {
    return desk_->full(bytes - entry.bytes);
  }
  if (bytes < entry.bytes) desk_->freed_bytes_ += entry.bytes - bytes;
  desk_->load_.bytes += bytes - entry.bytes;
  desk_->load_.calls -= entry.at_desk && !at_desk ? 1 : 0;
  entry.bytes = bytes;
  entry.at_desk = entry.at_desk && at_desk;
  desk_->publish();
  return absl::OkStatus();
}

void TextDesk::Place::watch(std::function<void()> give_up) {
  HALFTONE_CHECK(desk_ != nullptr);
  MutexLock lock(desk_->mutex_);
  Entry& entry = desk_->places_.at(id_);
  desk_->watched_ += entry.give_up ? 0 : 1;
  entry.give_up = std::move(give_up);
  entry.unread_since = desk_->clock_();
  desk_->tidy_wakes_.notify_all();
}

TextDesk::TextDesk(const TextDeskConfig& config, Metrics& metrics, std::function<Nanoseconds()> clock)
    : config_(config), metrics_(metrics), clock_(std::move(clock)) {
  HALFTONE_CHECK(config.threads >= 2);
  for (int i = 0; i < config.threads; ++i) threads_.emplace_back([this, i] { serve(i == 0); });
  threads_.emplace_back([this] { tidy(); });
}

TextDesk::~TextDesk() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    work_came_.notify_all();
    tidy_wakes_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
}

absl::StatusOr<TextDesk::Place> TextDesk::enter(uint64_t message_bytes) {
  const uint64_t bytes = kCallBytes + kCopies * message_bytes;
  MutexLock lock(mutex_);
  if (load_.calls >= config_.max_calls || load_.bytes + bytes > config_.max_bytes) return full(bytes);
  const uint64_t id = next_id_++;
  places_[id].bytes = bytes;
  load_.bytes += bytes;
  ++load_.calls;
  publish();
  return Place(this, id);
}

absl::Status TextDesk::full(uint64_t more) const {
  absl::Status status = absl::ResourceExhaustedError(
      absl::StrCat("too much text is in work: ", load_.calls, " calls (the limit is ", config_.max_calls, ") with ",
                   load_.bytes, " bytes, and this one wants ", more, " (the limit is ", config_.max_bytes,
                   "); answers that were not read yet count"));
  set_reason(status, "TEXT_DESK_FULL");
  const double seconds = static_cast<double>(waiting_bytes_) * seconds_per_byte_;
  set_retry_after(status, std::clamp(seconds, kShortestRetrySeconds, kLongestRetrySeconds));
  return status;
}

void TextDesk::run(uint64_t message_bytes, std::function<void()> work) {
  MutexLock lock(mutex_);
  (message_bytes < config_.large_bytes ? small_ : large_).push_back({message_bytes, std::move(work)});
  waiting_bytes_ += message_bytes;
  work_came_.notify_all();
}

TextDesk::Task TextDesk::next(bool small_only) {
  std::deque<Task>& queue = small_only || large_.empty() ? small_ : large_;
  Task work = std::move(queue.front());
  queue.pop_front();
  waiting_bytes_ -= work.bytes;
  return work;
}

void TextDesk::serve(bool small_only) {
  while (true) {
    Task work;
    {
      MutexLock lock(mutex_);
      while (small_.empty() && (small_only || large_.empty())) {
        if (stopping_) return;
        work_came_.wait(mutex_);
      }
      work = next(small_only);
    }
    const Nanoseconds began = clock_();
    work.run();
    const double seconds = static_cast<double>(clock_() - began) * 1e-9;
    metrics_.text_worked(seconds);
    MutexLock lock(mutex_);
    const double per_byte = seconds / static_cast<double>(std::max<uint64_t>(work.bytes, kCallBytes));
    seconds_per_byte_ += kNewest * (per_byte - seconds_per_byte_);
  }
}

void TextDesk::give_up_unread() {
  const Nanoseconds now = clock_();
  for (auto& [id, entry] : places_) {
    if (!entry.give_up || now - entry.unread_since < config_.stall_limit) continue;
    std::exchange(entry.give_up, nullptr)();
    --watched_;
  }
}

void TextDesk::tidy() {
  while (true) {
    bool trim = false;
    {
      MutexLock lock(mutex_);
      while (!stopping_ && watched_ == 0 && freed_bytes_ < kWorthTrimming) tidy_wakes_.wait(mutex_);
      // Once in an interval, however many come and go: giving memory back holds up others that want some.
      const Nanoseconds wanted = clock_() + std::chrono::nanoseconds(kTidyInterval).count();
      for (Nanoseconds now = clock_(); !stopping_ && now < wanted; now = clock_()) {
        tidy_wakes_.wait_for(mutex_, std::chrono::nanoseconds(wanted - now));
      }
      if (stopping_) return;
      give_up_unread();
      if (freed_bytes_ >= kWorthTrimming) {
        freed_bytes_ = 0;
        trim = true;
      }
    }
    if (trim) malloc_trim(0);
  }
}

void TextDesk::note_freed(uint64_t bytes) {
  MutexLock lock(mutex_);
  freed_bytes_ += bytes;
  if (freed_bytes_ >= kWorthTrimming) tidy_wakes_.notify_all();
}

TextDesk::Load TextDesk::load() const {
  MutexLock lock(mutex_);
  return load_;
}

void TextDesk::publish() { metrics_.set_text_load(load_.calls, load_.bytes); }

}  // namespace halftone
