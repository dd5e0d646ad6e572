// Everything at once against a real server: 32 clients, 640 streams over eight modes with pages for about half of them.
// A longer storm, on another checkpoint: HALFTONE_STORM_STREAMS, and HALFTONE_STORM_MODEL with HALFTONE_STORM_KV_BYTES.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>

#include "absl/strings/str_join.h"
#include "client/status.h"
#include "tests/e2e/server_process.h"
#include "tests/e2e/stalled_reader.h"
#include "tests/e2e/storm.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int kClients = 32;
constexpr uint32_t kStalledTokens = 1500;
constexpr std::chrono::milliseconds kStallLimit = 1000ms;
const std::vector<std::string> kModes = {"bf16",      "bf16+kv8", "w8a16", "w8a8+kv8",
                                         "w4a16+kv8", "w4a8",     "w8a8",  "w4a8+kv8"};

std::string setting(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

const int kStreams = std::stoi(setting("HALFTONE_STORM_STREAMS", "640"));
// 0 for a model so slow that an answer lies in the connection's own buffers until its reader is given up.
const int kStalledReaders = std::stoi(setting("HALFTONE_STORM_STALLED", "3"));

std::string write_model(const TestDirectory& directory) {
  const std::string other = setting("HALFTONE_STORM_MODEL", "");
  if (!other.empty()) return other;
  TinyCheckpoint tiny;
  tiny.config.context = 4096;
  const std::string path = directory.file("tiny.gguf");
  write_tiny_gguf(path, tiny);
  return path;
}

std::unique_ptr<ServerProcess> start_server(const TestDirectory& directory, const std::vector<std::string>& flags) {
  auto server = ServerProcess::start({write_model(directory), absl::StrJoin(kModes, ","), flags});
  EXPECT_TRUE(server.ok()) << server.status();
  return server.ok() ? *std::move(server) : nullptr;
}

// Counts what it saw by words, from any thread; prints it at the end.
class Tally {
 public:
  void add(const std::string& word) {
    std::lock_guard lock(mutex_);
    ++counts_[word];
  }
  int of(const std::string& word) {
    std::lock_guard lock(mutex_);
    return counts_[word];
  }
  void print() {
    std::lock_guard lock(mutex_);
    for (const auto& [word, count] : counts_) std::printf("  %6d  %s\n", count, word.c_str());
  }

 private:
  std::mutex mutex_;
  std::map<std::string, int> counts_;
};

enum class Fate { kNone, kCancelledInside, kCancelledOutside, kDeadline, kQueueTime };

Fate draw_fate(std::mt19937_64& random) {
  const uint64_t percent = random() % 100;
  if (percent < 13) return Fate::kCancelledInside;
  if (percent < 25) return Fate::kCancelledOutside;
  if (percent < 35) return Fate::kDeadline;
  return percent < 40 ? Fate::kQueueTime : Fate::kNone;
}

class Storm {
 public:
  Storm(ServerProcess& server, const std::vector<Question>& questions)
      : server_(server), questions_(questions), client_(server.client()) {}

  void begin() {
    for (int i = 0; i < kClients; ++i) threads_.emplace_back([this] { work(); });
    for (int i = 0; i < kStalledReaders; ++i) threads_.emplace_back([this] { stall(); });
  }
  void wait_for(int streams) const {
    while (done_ < streams) std::this_thread::sleep_for(5ms);
  }
  void join() {
    for (std::thread& thread : threads_) thread.join();
  }
  Tally tally;

 private:
  void work() {
    for (int i = next_++; i < kStreams; i = next_++) {
      std::mt19937_64 random(static_cast<uint64_t>(i));
      while (!one_stream(random, i)) std::this_thread::sleep_for(std::chrono::milliseconds(5 + random() % 20));
      ++done_;
    }
  }

  // False: the queue was full, to be tried again.
  bool one_stream(std::mt19937_64& random, int index) {
    const Question& question = questions_[random() % questions_.size()];
    v1::GenerateRequest request = question.request;
    if (random() % 2 == 0) {
      const uint32_t most = request.stopping().max_new_tokens();
      request.mutable_stopping()->set_max_new_tokens(1 + static_cast<uint32_t>(random() % most));
    }
    if (random() % 2 == 0) request.mutable_scheduling()->set_cache_salt("salt" + std::to_string(index));
    request.mutable_scheduling()->set_priority(static_cast<int32_t>(random() % 3));
    const Fate fate = draw_fate(random);
    if (fate == Fate::kQueueTime) request.mutable_scheduling()->set_max_queue_seconds(0.002);
    const StreamEnd end = disturbed_stream(request, fate, random);
    if (absl::IsResourceExhausted(end.status)) return note_full_queue(end.status);
    const std::string wrong = what_is_wrong(end, request, question);
    if (!wrong.empty()) ADD_FAILURE() << "stream " << index << " in " << request.mode() << " " << wrong;
    judge_status(fate, end);
    return true;
  }

  StreamEnd disturbed_stream(const v1::GenerateRequest& request, Fate fate, std::mt19937_64& random) {
    Cancellation cancellation;
    CallOptions options{.deadline_seconds = std::nullopt, .cancellation = &cancellation};
    if (fate == Fate::kDeadline) options.deadline_seconds = 0.001 * static_cast<double>(1 + random() % 200);
    const int last_message = fate == Fate::kCancelledInside ? 1 + static_cast<int>(random() % 20) : -1;
    std::thread canceller;
    if (fate == Fate::kCancelledOutside) {
      const auto moment = std::chrono::milliseconds(random() % 150);
      canceller = std::thread([&cancellation, moment] {
        std::this_thread::sleep_for(moment);
        cancellation.cancel();
      });
    }
    StreamEnd end = stream(client_, request, options, [&](const StreamEnd& so_far) {
      if (so_far.messages == last_message) cancellation.cancel();
    });
    if (canceller.joinable()) canceller.join();
    return end;
  }

  bool note_full_queue(const absl::Status& status) {
    tally.add("refused: the queue is full");
    EXPECT_EQ(reason_of(status), "QUEUE_FULL") << status;
    EXPECT_GT(retry_after_seconds(status).value_or(0), 0) << status;
    return false;
  }

  void judge_status(Fate fate, const StreamEnd& end) {
    tally.add(absl::StatusCodeToString(end.status.code()));
    const bool cancelled = fate == Fate::kCancelledInside || fate == Fate::kCancelledOutside;
    const bool late = fate == Fate::kDeadline || fate == Fate::kQueueTime;
    EXPECT_TRUE(end.status.ok() || (cancelled && absl::IsCancelled(end.status)) ||
                (late && absl::IsDeadlineExceeded(end.status)))
        << static_cast<int>(fate) << ": " << end.status;
    if (fate == Fate::kQueueTime && !end.status.ok()) {
      EXPECT_EQ(end.messages, 0) << "it had left the queue";
    }
  }

  // Takes one message and nothing more until the server has given it up. An answer that was complete before the limit
  // is not given up: then once more.
  void stall() {
    v1::GenerateRequest request = questions_[1].request;
    request.mutable_stopping()->set_max_new_tokens(kStalledTokens);
    request.mutable_stopping()->set_ignore_eos(true);
    request.mutable_output()->set_logprobs(20);
    const auto running = [&] { return sum(server_.page(), "llm_requests_running"); };
    for (int attempt = 0; attempt < 100; ++attempt) {
      const auto began = Clock::now();
      const StreamEnd end = stalled_stream(server_.address(), request, [&] {
        EXPECT_TRUE(eventually(60s, [&] { return Clock::now() - began > 3 * kStallLimit || running() == 0; }));
      });
      if (absl::IsResourceExhausted(end.status) && end.messages > 0)
        return tally.add("given up: its reader took nothing");
      EXPECT_TRUE(end.status.ok() || absl::IsResourceExhausted(end.status)) << end.status;
    }
    ADD_FAILURE() << "a stalled reader was never given up";
  }

  ServerProcess& server_;
  const std::vector<Question>& questions_;
  Client client_;
  std::atomic<int> next_{0}, done_{0};
  std::vector<std::thread> threads_;
};

std::unique_ptr<Process> start_bench(const ServerProcess& server, const std::string& mode) {
  ProcessOptions options;
  options.command = {program("halftone"), "--server", server.address(), "bench",  "--mode",          mode,
                     "--concurrency",     "8",        "--requests",     "100000", "--prompt-tokens", "20",
                     "--max-tokens",      "300"};
  auto bench = Process::start(options);
  EXPECT_TRUE(bench.ok()) << bench.status();
  return bench.ok() ? *std::move(bench) : nullptr;
}

// What the ledger holds, by owner and category, without the pages that only the prefix cache keeps.
std::map<std::string, uint64_t> ledger(Client& client) {
  std::map<std::string, uint64_t> bytes;
  const auto report = client.memory();
  EXPECT_TRUE(report.ok()) << report.status();
  if (!report.ok()) return bytes;
  for (const v1::MemoryEntry& entry : report->entries()) {
    if (entry.bytes() > 0) bytes[entry.owner() + " " + entry.category()] += entry.bytes();
  }
  return bytes;
}

double milliseconds_until_idle(const ServerProcess& server) {
  const auto began = Clock::now();
  EXPECT_TRUE(eventually(10s, [&] { return idle(server.page()); })) << "pages or requests are left";
  return std::chrono::duration<double, std::milli>(Clock::now() - began).count();
}

// Streams that are living when SIGTERM comes end as if nothing were; what comes later is turned away.
class Drain {
 public:
  Drain(ServerProcess& server, const std::vector<Question>& questions) : server_(server), questions_(questions) {}

  // patience: for as many answers as there are clients.
  void run(std::chrono::milliseconds patience) {
    std::vector<std::thread> threads;
    for (int i = 0; i < kClients; ++i) threads.emplace_back([this, i] { ask_until_turned_away(i); });
    EXPECT_TRUE(eventually(patience, [&] { return finished_ >= kClients; }));
    terminated_ = true;
    server_.process().send_signal(SIGTERM);
    for (std::thread& thread : threads) thread.join();
  }
  Tally tally;

 private:
  void ask_until_turned_away(int thread) {
    Client client = server_.client();
    for (size_t i = static_cast<size_t>(thread);; ++i) {
      const Question& question = questions_[i % questions_.size()];
      const bool before = !terminated_;
      const StreamEnd end = stream(client, question.request);
      const std::string wrong = what_is_wrong(end, question.request, question);
      if (!wrong.empty()) ADD_FAILURE() << "stream in " << question.request.mode() << " " << wrong;
      if (absl::IsResourceExhausted(end.status)) {
        std::this_thread::sleep_for(10ms);
        continue;
      }
      if (!end.status.ok()) return note_refusal(end);
      ++finished_;
      tally.add(before && terminated_ ? "finished while the server drained" : "finished before");
    }
  }

  void note_refusal(const StreamEnd& end) {
    EXPECT_TRUE(absl::IsUnavailable(end.status)) << end.status;
    EXPECT_TRUE(terminated_) << end.status;
    EXPECT_EQ(end.messages, 0) << "a stream that had begun was cut: " << end.status;
    tally.add(reason_of(end.status) == "DRAINING" ? "turned away by the draining server" : "found no server");
  }

  ServerProcess& server_;
  const std::vector<Question>& questions_;
  std::atomic<int> finished_{0};
  std::atomic<bool> terminated_{false};
};

// A page (4608 bytes) holds 16 tokens of kv16 or 32 of kv8: 32 streams want about 200 of them, there are 99.
const std::vector<std::string> kStormFlags = {"--kv-bytes",       setting("HALFTONE_STORM_KV_BYTES", "448KiB"),
                                              "--queue-requests", "8",
                                              "--stall-seconds",  "1",
                                              "--drain-seconds",  "120",
                                              "--threads",        "2"};

TEST(Storm, EveryStreamEndsRightAndNothingIsLeftAfterwards) {
  TestDirectory directory;
  auto server = start_server(directory, kStormFlags);
  ASSERT_NE(server, nullptr);
  Client client = server->client();
  std::vector<Question> questions = make_questions({.modes = kModes, .per_mode = 8, .max_tokens = 96});
  ASSERT_TRUE(answer_alone(client, questions).ok());
  milliseconds_until_idle(*server);
  const auto ledger_before = ledger(client);

  const auto began = Clock::now();
  Storm storm(*server, questions);
  storm.begin();
  storm.wait_for(kStreams / 4);
  auto bench = start_bench(*server, kModes[3]);
  ASSERT_NE(bench, nullptr);
  storm.wait_for(kStreams / 2);
  bench->send_signal(SIGKILL);
  EXPECT_TRUE(bench->wait(10s).has_value());
  storm.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  const double until_idle = milliseconds_until_idle(*server);
  EXPECT_LT(until_idle, 1000);
  EXPECT_EQ(ledger(client), ledger_before);

  const MetricsPage page = server->page();
  std::printf("storm of %d streams in %.1f s, idle after %.0f ms, %.0f times preempted\n", kStreams, seconds,
              until_idle, sum(page, "llm_preemptions_total"));
  storm.tally.print();
  EXPECT_GT(storm.tally.of("OK"), kStreams / 3);
  EXPECT_GT(storm.tally.of("CANCELLED"), kStreams / 20);
  EXPECT_GT(storm.tally.of("DEADLINE_EXCEEDED"), 0);
  EXPECT_GT(storm.tally.of("refused: the queue is full"), 0);
  EXPECT_GT(sum(page, "llm_preemptions_total"), 0) << "there were pages for everybody";
  EXPECT_EQ(sum(page, "llm_nonfinite_logits_total"), 0);

  Drain drain(*server, questions);
  const double slow = 10 * kClients * seconds / kStreams;  // of a storm that lets most streams end early
  drain.run(std::max(30s, std::chrono::seconds(static_cast<int64_t>(slow))));
  drain.tally.print();
  EXPECT_GT(drain.tally.of("finished while the server drained"), 0);
  const auto end = server->process().wait(130s);
  ASSERT_TRUE(end.has_value()) << "the server does not end";
  EXPECT_EQ(end->code, 0) << server->process().errors();
}

TEST(Storm, AKilledClientGivesItsPagesBackAtOnce) {
  TestDirectory directory;
  auto server = start_server(directory, {"--kv-bytes", "4MiB", "--threads", "2"});
  ASSERT_NE(server, nullptr);
  auto bench = start_bench(*server, kModes[0]);
  ASSERT_NE(bench, nullptr);
  ASSERT_TRUE(eventually(30s, [&] { return sum(server->page(), "llm_requests_running") == 8; }));
  bench->send_signal(SIGKILL);
  const double until_idle = milliseconds_until_idle(*server);
  EXPECT_LT(until_idle, 1000);
  EXPECT_GT(sum(server->page(), "llm_requests_total", {{"code", "CANCELLED"}}), 0);
  std::printf("idle %.0f ms after the client was killed\n", until_idle);
}

TEST(Storm, ADrainWithoutEnoughTimeEndsTheRestUnavailable) {
  TestDirectory directory;
  auto server = start_server(directory, {"--kv-bytes", "16MiB", "--threads", "2", "--drain-seconds", "0.1"});
  ASSERT_NE(server, nullptr);
  v1::GenerateRequest request;
  request.set_text("on and on");
  request.mutable_stopping()->set_max_new_tokens(4000);
  request.mutable_stopping()->set_ignore_eos(true);
  std::atomic<int> begun{0}, unavailable{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      Client client = server->client();
      v1::GenerateRequest own = request;
      own.set_mode(kModes[static_cast<size_t>(i) % kModes.size()]);
      const StreamEnd end = stream(client, own, {}, [&](const StreamEnd& so_far) { begun += so_far.messages == 1; });
      EXPECT_TRUE(absl::IsUnavailable(end.status)) << end.status;
      EXPECT_GT(end.ids.size(), 0u);
      EXPECT_EQ(usage_of(end.status).value_or(v1::Receipt()).generated_tokens(), end.ids.size());
      ++unavailable;
    });
  }
  EXPECT_TRUE(eventually(30s, [&] { return begun == 8; }));
  const auto began = Clock::now();
  server->process().send_signal(SIGTERM);
  const auto end = server->process().wait(20s);
  const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->code, 0);
  EXPECT_LT(seconds, 5);
  EXPECT_EQ(unavailable, 8);
  std::printf("gone %.2f s after SIGTERM\n", seconds);
}

}  // namespace
}  // namespace halftone
