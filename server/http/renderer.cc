#include "server/http/renderer.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "server/threads.h"

namespace halftone {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRests = 4;  // for each time that it works
constexpr std::chrono::milliseconds kLongestRest{100};

}  // namespace

Renderer::Renderer(std::function<SharedHttpResponse()> render, size_t most) : render_(std::move(render)), most_(most) {
  thread_ = thread_without_signals([this] { run(); });
}

Renderer::~Renderer() { stop(); }

void Renderer::ask(Done done) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    waiting_.push_back(std::move(done));
  }
  changed_.notify_one();
}

void Renderer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

SharedHttpResponse Renderer::next_answer() {
  std::erase_if(alive_, [](const auto& answer) { return answer.expired(); });
  if (alive_.size() >= most_) {
    if (SharedHttpResponse newest = alive_.back().lock()) return newest;
  }
  SharedHttpResponse answer = render_();
  alive_.push_back(answer);
  return answer;
}

void Renderer::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    lock.unlock();
    const Clock::time_point start = Clock::now();
    SharedHttpResponse answer = next_answer();
    const Clock::time_point end = Clock::now();
    lock.lock();
    if (stopping_) return;
    std::vector<Done> served = std::exchange(waiting_, {});
    lock.unlock();
    for (Done& done : served) done(answer);
    served.clear();
    answer.reset();
    lock.lock();
    const auto rest = std::min<Clock::duration>((end - start) * kRests, kLongestRest);
    changed_.wait_until(lock, end + rest, [this] { return stopping_; });
  }
}

}  // namespace halftone
