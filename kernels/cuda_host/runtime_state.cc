#include "kernels/cuda_host/runtime_state.h"

#include <utility>

#include "kernels/contract/check.h"
#include "kernels/cuda_host/cuda_host.h"
#include "kernels/cuda_host/machine.h"

namespace halftone::cuda_host {

namespace machine {

namespace {

bool unbroken() { return Machine::instance().fault.empty(); }

}  // namespace

RuntimeState& Locked::state() {
  static auto* state = new RuntimeState;  // never destroyed: static objects may use the runtime later
  return *state;
}

std::recursive_mutex& Locked::mutex() {
  static auto* mutex = new std::recursive_mutex;
  return *mutex;
}

cudaError_t RuntimeState::answer(cudaError_t error) {
  if (!unbroken()) return cudaErrorLaunchFailure;
  if (error != cudaSuccess) last_error_ = error;
  return error;
}

cudaError_t RuntimeState::take_last_error() {
  return unbroken() ? std::exchange(last_error_, cudaSuccess) : cudaErrorLaunchFailure;
}

cudaError_t RuntimeState::add(Stream* stream, Operation operation) {
  if (!unbroken()) return cudaErrorLaunchFailure;
  if (stream != nullptr && stream->capture != nullptr) {
    stream->capture->operations.push_back(std::move(operation));
    return cudaSuccess;
  }
  if (stream == nullptr && capturing()) return answer(cudaErrorStreamCaptureImplicit);
  queue_.add(stream, std::move(operation));
  return cudaSuccess;
}

cudaError_t RuntimeState::record(Event& event, Stream* stream) {
  if (!unbroken()) return cudaErrorLaunchFailure;
  if (stream == nullptr ? capturing() : stream->capture != nullptr) return answer(cudaErrorStreamCaptureUnsupported);
  event.stream = stream;
  event.happened = false;
  auto happen = [&event] {
    event.happened = true;
    event.time = std::chrono::steady_clock::now();
  };
  event.recorded = queue_.add(stream, {happen, {}, {}});
  return cudaSuccess;
}

cudaError_t RuntimeState::finish(const Stream* stream, uint64_t until) {
  if (capturing()) return answer(cudaErrorStreamCaptureUnsupported);
  queue_.finish(stream, until, unbroken);
  return finished();
}

cudaError_t RuntimeState::finish_all() {
  if (capturing()) return answer(cudaErrorStreamCaptureUnsupported);
  queue_.finish_all(unbroken);
  return finished();
}

cudaError_t RuntimeState::finished() {
  if (unbroken()) return cudaSuccess;
  queue_.clear();
  return cudaErrorLaunchFailure;
}

cudaError_t RuntimeState::begin_capture(Stream& stream) {
  if (stream.capture != nullptr) return answer(cudaErrorInvalidValue);
  stream.capture = std::make_unique<Graph>();
  capturing_.push_back(&stream);
  return answer(cudaSuccess);
}

std::unique_ptr<Graph> RuntimeState::end_capture(Stream& stream) {
  std::erase(capturing_, &stream);
  return std::move(stream.capture);
}

void RuntimeState::reset() {
  queue_.clear();
  while (capturing()) end_capture(*capturing_.back());
  last_error_ = cudaSuccess;
}

}  // namespace machine

void configure(const Settings& settings) {
  HALFTONE_CHECK(settings.coresident_blocks > 0);
  const machine::Locked state;
  machine::Machine::instance().settings = settings;
}

Settings settings() {
  const machine::Locked state;
  return machine::Machine::instance().settings;
}

Counters counters() {
  const machine::Locked state;
  return machine::Machine::instance().counters;
}

void reset_counters() {
  const machine::Locked state;
  machine::Machine::instance().counters = {};
}

std::string last_fault() {
  const machine::Locked state;
  return machine::Machine::instance().fault;
}

void reset() {
  const machine::Locked state;
  state->reset();
  machine::Machine::instance().fault.clear();
}

}  // namespace halftone::cuda_host
