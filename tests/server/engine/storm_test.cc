// Ten thousand lives with cancels, deadlines, slow and stalled readers, a queue that is often full and pages for few,
// sent by several threads at once. Every stream ends, complete answers are the right ones, nothing is left behind. The
// same test runs under ThreadSanitizer.
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <random>
#include <semaphore>
#include <thread>

#include "tests/server/engine/rig.h"

namespace halftone {
namespace {

constexpr Nanoseconds kMillisecond = 1'000'000;
constexpr int kThreads = 4, kLivesOfAThread = 2500, kWindow = 40;

RigOptions stormy() {
  RigOptions options;
  options.executor.modes = {{"w4a16", 16, kMillisecond, 20'000},
                            {"w4a16+kv8", 32, kMillisecond, 30'000},
                            {"bf16", 16, 2 * kMillisecond, 50'000}};
  options.executor.pages = 40;
  options.executor.max_step_tokens = 64;
  options.executor.max_step_rows = 48;
  options.engine.max_running = 24;
  options.engine.stall_limit = 400 * kMillisecond;
  options.engine.limits.max_queue_requests = 60;
  options.engine.limits.max_queue_tokens = 3000;
  return options;
}

// A reader that takes as soon as it is told to, on the delivery thread; and counts its ends.
struct QuickReader : std::enable_shared_from_this<QuickReader> {
  explicit QuickReader(std::shared_ptr<OutputStream> from) : stream(std::move(from)) {}
  void read() {
    const auto self = shared_from_this();
    while (auto event = stream->take([self] { self->read(); })) {
      if (event->delta) {
        for (TokenRecord& token : event->delta->tokens) answer.all.tokens.push_back(token);
        if (event->delta->finish) answer.all.finish = event->delta->finish;
        if (event->delta->receipt) answer.all.receipt = event->delta->receipt;
      }
      if (event->end) {
        answer.status = *event->end;
        ended.release();
        return;
      }
    }
  }
  std::shared_ptr<OutputStream> stream;
  Answer answer;
  std::binary_semaphore ended{0};
};

struct Life {
  Request request;
  std::shared_ptr<OutputStream> stream;
  std::shared_ptr<QuickReader> quick;  // null: read only when the window is full
  bool cancelled = false;
};

struct Totals {
  std::atomic<int> ended{0}, ok{0}, cancelled{0}, deadline{0}, stalled{0}, refused{0};
  std::atomic<int64_t> tokens{0}, preemptions{0}, cached{0};
};

class Sender {
 public:
  Sender(Rig& rig, Totals& totals, int number) : rig_(rig), totals_(totals), random_(number), number_(number) {}

  void run() {
    for (int i = 0; i < kLivesOfAThread; ++i) {
      send(make_request(i), i % 100 == 99);
      if (living_.size() >= kWindow) finish_oldest();
      if (random_() % 8 == 0 && !living_.empty()) cancel(living_[random_() % living_.size()]);
    }
    while (!living_.empty()) finish_oldest();
  }
  void wake_sleepers() {
    for (const Life& life : asleep_) judge(life, read_all(life.stream));
  }

 private:
  Request make_request(int i) {
    const auto mode = static_cast<ModeIndex>(random_() % 3);
    std::vector<int32_t> prompt(1 + random_() % 50, static_cast<int32_t>(random_() % 4));
    prompt.back() = static_cast<int32_t>(random_() % 300);
    Request request;
    request.id = std::to_string(number_) + "/" + std::to_string(i);
    request.mode = mode;
    request.prompt = std::move(prompt);
    request.sampling.temperature = 0;
    request.max_new_tokens = static_cast<uint32_t>(1 + random_() % 40);
    request.max_new_tokens_given = true;
    request.ignore_eos = true;
    request.priority = static_cast<int32_t>(random_() % 3);
    const Nanoseconds now = rig_.clock.now();
    const auto time = static_cast<Nanoseconds>(random_() % 300) * kMillisecond;
    switch (random_() % 12) {
      case 0:
        request.deadline = now + time;
        break;
      case 1:
        request.max_time = time;
        break;
      case 2:
        request.max_queue_time = time;
        break;
      case 3:
        request.prompt_logprobs = 2;
        break;
      case 4:
        request.kind = Request::Kind::kScore;
        request.max_new_tokens = 0;
        break;
      case 5:
        request.logprobs = 1;
        break;
      default:
        break;
    }
    return request;
  }

  void send(Request request, bool sleeps) {
    if (sleeps) request.max_new_tokens = 150;
    Life life;
    life.request = request;
    Refusal refusal;
    while (life.stream == nullptr) {
      life.stream = rig_.engine->submit(request, &refusal);
      if (life.stream != nullptr) break;
      ASSERT_EQ(refusal.status.code(), absl::StatusCode::kResourceExhausted) << refusal.status;
      ++totals_.refused;
      std::this_thread::yield();
    }
    if (sleeps) return asleep_.push_back(std::move(life));
    if (random_() % 4 != 0) {
      life.quick = std::make_shared<QuickReader>(life.stream);
      life.quick->read();
    }
    living_.push_back(std::move(life));
  }

  void cancel(Life& life) {
    life.cancelled = true;
    life.stream->cancel();
  }

  void finish_oldest() {
    Life life = std::move(living_.front());
    living_.pop_front();
    if (life.quick != nullptr) life.quick->ended.acquire();
    judge(life, life.quick != nullptr ? life.quick->answer : read_all(life.stream));
  }

  void judge(const Life& life, const Answer& answer) {
    ++totals_.ended;
    ASSERT_TRUE(answer.all.receipt.has_value());
    totals_.preemptions += answer.all.receipt->preemptions;
    totals_.cached += answer.all.receipt->cached_tokens;
    totals_.tokens += answer.all.receipt->generated_tokens;
    switch (answer.status.code()) {
      case absl::StatusCode::kOk:
        judge_answer(life, answer);
        break;
      case absl::StatusCode::kCancelled:
        ++totals_.cancelled;
        EXPECT_TRUE(life.cancelled);
        break;
      case absl::StatusCode::kDeadlineExceeded:
        ++totals_.deadline;
        EXPECT_TRUE(life.request.deadline || life.request.max_queue_time);
        break;
      case absl::StatusCode::kResourceExhausted:
        ++totals_.stalled;
        break;
      default:
        ADD_FAILURE() << answer.status;
    }
  }

  void judge_answer(const Life& life, const Answer& answer) {
    ++totals_.ok;
    const bool scores = life.request.kind == Request::Kind::kScore;
    ASSERT_EQ(answer.all.finish.has_value(), !scores);
    if (scores) {
      EXPECT_EQ(answer.all.tokens.size() + 1, life.request.prompt.size());
      return;
    }
    const auto tokens = static_cast<int64_t>(answer.all.tokens.size());
    EXPECT_EQ(answer.ids(), rig_.executor.answer(life.request.mode, life.request.prompt, tokens));
    if (answer.all.finish->reason == FinishReason::kTimeLimit) {
      EXPECT_TRUE(life.request.max_time.has_value());
    } else {
      EXPECT_EQ(answer.all.finish->reason, FinishReason::kLength);
      EXPECT_EQ(tokens, life.request.max_new_tokens);
    }
  }

  Rig& rig_;
  Totals& totals_;
  std::mt19937 random_;
  const int number_;
  std::deque<Life> living_;
  std::vector<Life> asleep_;
};

TEST(Storm, EveryStreamEndsRightAndNothingIsLeft) {
  Rig rig(stormy());
  Totals totals;
  std::vector<std::thread> threads;
  std::deque<Sender> senders;
  for (int number = 0; number < kThreads; ++number) senders.emplace_back(rig, totals, number);
  for (Sender& sender : senders) threads.emplace_back([&] { sender.run(); });
  for (std::thread& thread : threads) thread.join();
  rig.drain();
  for (Sender& sender : senders) sender.wake_sleepers();

  EXPECT_EQ(totals.ended, kThreads * kLivesOfAThread);
  for (const std::atomic<int>* some :
       {&totals.ok, &totals.cancelled, &totals.deadline, &totals.stalled, &totals.refused}) {
    EXPECT_GT(*some, 0);
  }
  EXPECT_GT(totals.preemptions, 0);
  EXPECT_GT(totals.cached, 0);
  std::printf("ok %d, cancelled %d, deadline %d, stalled %d, refused %d, preemptions %ld, cached %ld, steps %ld\n",
              totals.ok.load(), totals.cancelled.load(), totals.deadline.load(), totals.stalled.load(),
              totals.refused.load(), totals.preemptions.load(), totals.cached.load(), rig.executor.steps());

  EXPECT_EQ(rig.pages("used"), 0);
  EXPECT_EQ(rig.pages("free") + rig.pages("cached"), 40);
  EXPECT_EQ(rig.executor.held_pages(), 0);
  EXPECT_EQ(rig.engine->load().waiting, 0u);
  EXPECT_EQ(rig.engine->load().running, 0u);
  double generated = 0, ended = 0;
  for (int mode = 0; mode < 3; ++mode) {
    generated += rig.metrics->mode(mode).generated_tokens->Value();
    for (const char* code : {"OK", "CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}) {
      ended += rig.metrics->request_count(mode, code);
    }
  }
  EXPECT_EQ(generated, totals.tokens);
  EXPECT_EQ(ended, kThreads * kLivesOfAThread);
}

}  // namespace
}  // namespace halftone
