// A thread that makes one kind of answer, for all who ask meanwhile. Rendering may block; those who ask do not.
//
// At most a fifth of a processor goes to it however often it is asked: after an answer it rests four times as long as
// that took, 100 ms at most. At most `most` answers are in memory at once: while clients take that many slowly, others
// get the newest of them.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "server/http/response.h"

namespace halftone {

class Renderer {
 public:
  using Done = std::function<void(SharedHttpResponse)>;

  // `render` is called on the thread, one call at a time.
  Renderer(std::function<SharedHttpResponse()> render, size_t most);
  ~Renderer();  // stops

  // `done` is called on the thread, with an answer whose rendering had not ended at this call; never after stop().
  // Any thread.
  void ask(Done done);
  // Waits for a call of `render` that is running. May be called twice.
  void stop();

 private:
  void run();
  SharedHttpResponse next_answer();

  const std::function<SharedHttpResponse()> render_;
  const size_t most_;
  std::deque<std::weak_ptr<const HttpResponse>> alive_;  // the thread's, oldest first
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;      // under mutex_
  std::vector<Done> waiting_;  // under mutex_
  std::thread thread_;
};

}  // namespace halftone
