#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <random>
#include <thread>

#include "absl/strings/str_format.h"
#include "client/command/bench_report.h"
#include "client/command/command.h"
#include "client/command/interrupts.h"

namespace halftone {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchFlags {
  std::string mode;
  int concurrency = 1, requests = 0;
  uint32_t prompt_tokens = 128, max_tokens = 64;
  uint64_t seed = 1;
  bool json = false;
};

class Bench {
 public:
  Bench(const BenchFlags& flags, const Globals& globals, uint32_t vocabulary)
      : flags_(flags), globals_(globals), vocabulary_(vocabulary), client_(globals.client()) {}

  // Returns when every answer ended.
  BenchReport run(const BenchSetting& setting) {
    begin_ = Clock::now();
    std::vector<std::thread> threads;
    threads.reserve(static_cast<size_t>(flags_.concurrency));
    for (int i = 0; i < flags_.concurrency; ++i) threads.emplace_back([this] { work(); });
    show_progress_until_done();
    for (std::thread& thread : threads) thread.join();
    double seconds = 0;
    for (const BenchSample& sample : samples_) seconds = std::max(seconds, sample.end);
    return summarize(setting, samples_, seconds);
  }
  const absl::Status& first_error() const { return first_error_; }  // after run()
  void stop() { cancellation_.cancel(); }
  bool stopped() const { return cancellation_.cancelled(); }

 private:
  double now() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

  void work() {
    for (int i = next_++; i < flags_.requests && !stopped(); i = next_++) {
      BenchSample sample = measure(static_cast<uint64_t>(i));
      std::lock_guard lock(mutex_);
      samples_.push_back(std::move(sample));
      changed_.notify_all();
    }
    std::lock_guard lock(mutex_);
    ++threads_ended_;
    changed_.notify_all();
  }

  // Never the same prompt twice, so that the prefix cache has nothing to give.
  v1::GenerateRequest request(uint64_t index) const {
    v1::GenerateRequest out;
    out.set_mode(flags_.mode);
    std::mt19937_64 random(flags_.seed * 1'000'003 + index);
    for (uint32_t i = 0; i < flags_.prompt_tokens; ++i) {
      out.mutable_tokens()->add_ids(static_cast<uint32_t>(random() % vocabulary_));
    }
    out.mutable_sampling()->set_temperature(0);
    out.mutable_stopping()->set_max_new_tokens(flags_.max_tokens);
    out.mutable_stopping()->set_ignore_eos(true);
    return out;
  }

  BenchSample measure(uint64_t index) {
    const v1::GenerateRequest wire = request(index);
    BenchSample sample;
    sample.begin = now();
    const auto on_message = [&](const v1::GenerateResponse& message) {
      if (message.tokens_size() == 0) return;
      sample.add_tokens(static_cast<uint32_t>(message.tokens_size()), now());
      generated_ += message.tokens_size();
    };
    const absl::Status status = client_.generate(wire, on_message, globals_.call(&cancellation_));
    if (status.ok()) {
      sample.prompt_tokens = flags_.prompt_tokens;
    } else {
      sample.error = absl::StatusCodeToString(status.code());
      std::lock_guard lock(mutex_);
      if (first_error_.ok()) first_error_ = status;
    }
    return sample;
  }

  void show_progress_until_done() {
    const bool terminal = isatty(STDERR_FILENO) != 0;
    std::unique_lock lock(mutex_);
    while (threads_ended_ < flags_.concurrency) {
      changed_.wait_for(lock, std::chrono::milliseconds(200));
      if (terminal) draw(samples_.size());
    }
    if (terminal) std::cerr << "\r\x1b[K" << std::flush;
  }

  void draw(size_t done) const {
    constexpr int kWidth = 30;
    const int filled = static_cast<int>(done) * kWidth / flags_.requests;
    std::cerr << absl::StrFormat("\r[%s%s] %d/%d requests, %.1f tokens/s\x1b[K", std::string(filled, '#'),
                                 std::string(kWidth - filled, '.'), done, flags_.requests,
                                 static_cast<double>(generated_) / now())
              << std::flush;
  }

  const BenchFlags& flags_;
  const Globals& globals_;
  const uint32_t vocabulary_;
  Client client_;
  Cancellation cancellation_;
  Clock::time_point begin_;
  std::atomic<int> next_{0};
  std::atomic<int64_t> generated_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<BenchSample> samples_;  // these three guarded by mutex_
  int threads_ended_ = 0;
  absl::Status first_error_;
};

int bench(BenchFlags flags, const Globals& globals) {
  if (flags.requests == 0) flags.requests = 4 * flags.concurrency;
  Interrupts interrupts;
  Cancellation asking;
  interrupts.set([&] { asking.cancel(); });
  const auto info = globals.client().info(globals.call(&asking));
  if (asking.cancelled()) return kExitInterrupted;
  if (!info.ok()) return report(info.status(), globals);
  const std::string mode = flags.mode.empty() ? info->default_mode() : flags.mode;
  const BenchSetting setting{globals.server,      info->model(),    mode,      flags.concurrency,
                             flags.prompt_tokens, flags.max_tokens, flags.seed};
  Bench bench(flags, globals, info->vocabulary_tokens());
  interrupts.set([&] { bench.stop(); });
  const BenchReport result = bench.run(setting);
  interrupts.set(nullptr);
  std::cout << (flags.json ? result.json() : result.page()) << std::flush;
  if (bench.stopped()) return kExitInterrupted;
  return bench.first_error().ok() ? 0 : report(bench.first_error(), globals);
}

}  // namespace

void add_bench(CLI::App& app, Globals& globals, Run& run) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command = app.add_subcommand("bench", "Send requests of random tokens and measure latency and throughput");
  command->add_option("--mode", flags->mode, "Compression mode; the server's first one where not given");
  command->add_option("--concurrency", flags->concurrency, "Requests at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--requests", flags->requests, "Requests in all; 4 x concurrency where not given")
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--prompt-tokens", flags->prompt_tokens, "Tokens of each prompt, fresh random ones")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--max-tokens", flags->max_tokens, "Tokens of each answer, exactly")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command->add_option("--seed", flags->seed, "Of the random prompts")->capture_default_str();
  command->add_flag("--json", flags->json, "The report as JSON, in seconds");
  command->callback([flags, &globals, &run] { run = [flags, &globals] { return bench(*flags, globals); }; });
}

}  // namespace halftone
