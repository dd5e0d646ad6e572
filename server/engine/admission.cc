#include "server/engine/admission.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/contract/check.h"

namespace halftone {
namespace {

// Told to a client who came while the server was draining: by then another replica may have its place.
constexpr double kDrainRetrySeconds = 1;
constexpr double kShortestRetrySeconds = 0.1;

}  // namespace

Admission::Admission(Limits limits, std::vector<ModeCapacity> capacities)
    : limits_(limits), capacities_(std::move(capacities)) {}

Admission::Verdict Admission::judge_size(const Request& request) const {
  const ModeCapacity& mode = capacities_[static_cast<size_t>(request.mode)];
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  if (prompt == 0) return {absl::InvalidArgumentError("the prompt has no tokens"), "invalid"};
  if (prompt > mode.context) {
    return {absl::InvalidArgumentError(
                absl::StrCat("the prompt has ", prompt, " tokens, the context holds ", mode.context)),
            "too_long"};
  }
  const int64_t capacity = std::min(mode.context, mode.page_tokens);
  const bool generates = request.kind == Request::Kind::kGenerate;
  const int64_t wanted = generates ? request.max_new_tokens : 0;
  if (prompt > capacity || (request.max_new_tokens_given && prompt + wanted > capacity)) {
    const std::string asked =
        generates && request.max_new_tokens_given
            ? absl::StrCat(" tokens and max_new_tokens = ", wanted, " make ", prompt + wanted, ", ")
            : " tokens, ";
    const std::string limit = capacity == mode.context
                                  ? absl::StrCat("the context holds ", mode.context)
                                  : absl::StrCat("the pages of mode ", mode.id, " hold ", mode.page_tokens, " in all");
    return {absl::OutOfRangeError(absl::StrCat("the prompt has ", prompt, asked, limit)), "never_fits"};
  }
  return {absl::OkStatus(), "", false, std::min(wanted, capacity - prompt)};
}

Admission::Verdict Admission::judge(const Request& request) const {
  if (!closed_.ok()) return {absl::Status(closed_.code(), closed_.message()), "draining"};
  if (drain_deadline_) {
    return {absl::UnavailableError("the server is draining: it takes no new requests"), "draining", true};
  }
  Verdict verdict = judge_size(request);
  if (!verdict.status.ok()) return verdict;
  if (ids_.count(request.id) > 0) {
    return {absl::AlreadyExistsError(absl::StrCat("a request with request_id \"", request.id, "\" is living")),
            "duplicate_id"};
  }
  const EngineLoad load = current_load();
  if (load.waiting >= limits_.max_queue_requests) {
    return {absl::ResourceExhaustedError(absl::StrCat("the queue is full: ", load.waiting,
                                                      " requests wait, the limit is ", limits_.max_queue_requests)),
            "queue_full", true};
  }
  if (load.waiting_tokens + request.prompt.size() > limits_.max_queue_tokens) {
    return {absl::ResourceExhaustedError(absl::StrCat("the queue is full: ", load.waiting_tokens,
                                                      " prompt tokens wait, the prompt has ", request.prompt.size(),
                                                      ", the limit is ", limits_.max_queue_tokens)),
            "queue_full", true};
  }
  return verdict;
}

std::shared_ptr<OutputStream> Admission::submit(Request request, Nanoseconds now, Refusal* refusal,
                                                const char** reason) {
  HALFTONE_CHECK(request.mode >= 0 && static_cast<size_t>(request.mode) < capacities_.size());
  MutexLock lock(mutex_);
  Verdict verdict = judge(request);
  if (!verdict.status.ok()) {
    refusal->retry_after_seconds.reset();
    if (verdict.retry) {
      refusal->retry_after_seconds =
          drain_deadline_ ? kDrainRetrySeconds : std::max(kShortestRetrySeconds, scheduler_.estimated_queue_seconds);
    }
    refusal->status = std::move(verdict.status);
    *reason = verdict.reason;
    return nullptr;
  }
  auto stream = std::make_shared<OutputStream>();
  stream->note_time(now);
  ids_.insert(request.id);
  ++living_;
  ++unpublished_requests_;
  unpublished_tokens_ += request.prompt.size();
  mailbox_.push_back({std::move(request), stream, now, verdict.max_generated});
  engine_wakes_.notify_all();
  return stream;
}

EngineLoad Admission::current_load() const {
  EngineLoad load = scheduler_;
  load.waiting += unpublished_requests_;
  load.waiting_tokens += unpublished_tokens_;
  return load;
}

EngineLoad Admission::load() const {
  MutexLock lock(mutex_);
  return current_load();
}

void Admission::hasten(Nanoseconds deadline) {
  MutexLock lock(mutex_);
  drain_deadline_ = drain_deadline_ ? std::min(*drain_deadline_, deadline) : deadline;
  woken_ = true;
  engine_wakes_.notify_all();
}

void Admission::drain(Nanoseconds deadline) {
  hasten(deadline);
  MutexLock lock(mutex_);
  while (living_ > 0) life_ended_.wait(mutex_);
}

bool Admission::draining() const { return drain_deadline().has_value(); }

std::optional<Nanoseconds> Admission::drain_deadline() const {
  MutexLock lock(mutex_);
  return drain_deadline_;
}

void Admission::stop() {
  MutexLock lock(mutex_);
  stopping_ = true;
  engine_wakes_.notify_all();
}

bool Admission::stopping() const {
  MutexLock lock(mutex_);
  return stopping_;
}

std::vector<Admission::Entry> Admission::take() {
  MutexLock lock(mutex_);
  return std::exchange(mailbox_, {});
}

void Admission::publish(const EngineLoad& scheduler) {
  MutexLock lock(mutex_);
  scheduler_ = scheduler;
  unpublished_requests_ = static_cast<uint32_t>(mailbox_.size());
  unpublished_tokens_ = 0;
  for (const Entry& entry : mailbox_) unpublished_tokens_ += entry.request.prompt.size();
}

void Admission::forget(const std::string& id) {
  MutexLock lock(mutex_);
  ids_.erase(id);
}

void Admission::ended() {
  MutexLock lock(mutex_);
  --living_;
  life_ended_.notify_all();
}

std::vector<Admission::Entry> Admission::close(absl::Status status) {
  MutexLock lock(mutex_);
  if (closed_.ok()) closed_ = std::move(status);
  return std::exchange(mailbox_, {});
}

void Admission::wait(std::optional<Nanoseconds> time) {
  MutexLock lock(mutex_);
  if (time) {
    if (mailbox_.empty() && !stopping_ && !woken_) engine_wakes_.wait_for(mutex_, std::chrono::nanoseconds(*time));
  } else {
    while (mailbox_.empty() && !stopping_ && !woken_) engine_wakes_.wait(mutex_);
  }
  woken_ = false;
}

}  // namespace halftone
