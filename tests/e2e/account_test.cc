// One set of counters: receipts, GetMemory, `halftone info --json` and /metrics say the same of the same work.
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <tuple>

#include "absl/strings/str_join.h"
#include "tests/e2e/server_process.h"
#include "tests/e2e/storm.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

using namespace std::chrono_literals;

const std::vector<std::string> kModes = {"w4a16", "w4a16+kv8", "bf16",     "bf16+kv8", "w8a16",
                                         "w8a8",  "w8a8+kv8",  "w4a8+kv8", "w4a8"};
constexpr double kMiB = 1 << 20;

class Account : public testing::Test {
 protected:
  void SetUp() override {
    TinyCheckpoint tiny;
    tiny.config.context = 1024;
    write_tiny_gguf(directory_.file("tiny.gguf"), tiny);
    // Pages for a part of the work at once, so that some of it is preempted.
    auto server =
        ServerProcess::start({directory_.file("tiny.gguf"), absl::StrJoin(kModes, ","), {"--kv-bytes", "256KiB"}});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // Sends `rounds` x 16 requests from 16 threads; the receipts by mode.
  std::map<std::string, std::vector<v1::Receipt>> work(int rounds) {
    std::vector<Question> questions = make_questions({.modes = kModes, .per_mode = 4, .max_tokens = 80});
    std::map<std::string, std::vector<v1::Receipt>> receipts;
    std::mutex mutex;
    std::vector<std::thread> threads;
    for (size_t i = 0; i < 16; ++i) {
      threads.emplace_back([&, i] {
        Client client = server_->client();
        for (size_t round = 0; round < static_cast<size_t>(rounds); ++round) {
          v1::GenerateRequest request = questions[(i + 7 * round) % questions.size()].request;
          request.mutable_output()->set_receipt(true);
          request.mutable_scheduling()->set_cache_salt("account");  // else receipts hide what the cache saved
          const auto answer = client.generate(request);
          std::lock_guard lock(mutex);
          ASSERT_TRUE(answer.ok()) << answer.status();
          EXPECT_EQ(answer->receipt().generated_tokens(), static_cast<uint32_t>(answer->tokens_size()));
          EXPECT_EQ(answer->receipt().prompt_tokens(), static_cast<uint32_t>(request.tokens().ids_size()));
          receipts[request.mode()].push_back(answer->receipt());
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(eventually(5s, [&] { return idle(server_->page()); }));
    return receipts;
  }

  TestDirectory directory_;
  std::unique_ptr<ServerProcess> server_;
};

// A counter, and what receipts have to say about it.
struct Counted {
  const char* series;
  PageLabels labels;
  double (*of)(const v1::Receipt&);
};

const std::vector<Counted>& counted() {
  static const std::vector<Counted> all = {
      {"llm_prompt_tokens_total", {}, [](const v1::Receipt& r) { return 1.0 * r.prompt_tokens(); }},
      {"llm_prompt_tokens_total", {{"source", "cached"}}, [](const v1::Receipt& r) { return 1.0 * r.cached_tokens(); }},
      {"llm_prefix_cache_hit_tokens_total", {}, [](const v1::Receipt& r) { return 1.0 * r.cached_tokens(); }},
      {"llm_generated_tokens_total", {}, [](const v1::Receipt& r) { return 1.0 * r.generated_tokens(); }},
      {"llm_preemptions_total", {}, [](const v1::Receipt& r) { return 1.0 * r.preemptions(); }},
      {"llm_requests_total", {{"code", "OK"}}, [](const v1::Receipt&) { return 1.0; }},
      {"llm_flops_total", {}, [](const v1::Receipt& r) { return r.flops(); }},
      {"llm_moved_bytes_total", {}, [](const v1::Receipt& r) { return r.bytes_moved(); }},
      {"llm_step_seconds_sum", {}, [](const v1::Receipt& r) { return r.device_seconds(); }},
      {"llm_request_queue_seconds_sum", {}, [](const v1::Receipt& r) { return r.queue_seconds(); }},
      {"llm_request_prefill_seconds_sum", {}, [](const v1::Receipt& r) { return r.prefill_seconds(); }},
      {"llm_request_decode_seconds_sum", {}, [](const v1::Receipt& r) { return r.decode_seconds(); }},
      {"llm_inter_token_latency_seconds_sum", {}, [](const v1::Receipt& r) { return r.decode_seconds(); }},
      {"llm_time_to_first_token_seconds_sum", {}, [](const v1::Receipt& r) { return r.ttft_seconds(); }},
      {"llm_time_per_output_token_seconds_sum", {}, [](const v1::Receipt& r) { return r.tpot_seconds(); }},
      {"llm_request_peak_kv_bytes_sum", {}, [](const v1::Receipt& r) { return 1.0 * r.peak_kv_bytes(); }},
      {"llm_request_prompt_tokens_sum", {}, [](const v1::Receipt& r) { return 1.0 * r.prompt_tokens(); }},
      {"llm_request_generated_tokens_sum", {}, [](const v1::Receipt& r) { return 1.0 * r.generated_tokens(); }},
  };
  return all;
}

TEST_F(Account, ReceiptsAddUpToTheCounters) {
  const MetricsPage before = server_->page();
  const auto receipts = work(12);
  const MetricsPage after = server_->page();
  ASSERT_EQ(receipts.size(), kModes.size());
  for (const auto& [mode, of_mode] : receipts) {
    for (const Counted& row : counted()) {
      PageLabels labels = row.labels;
      labels["mode"] = mode;
      double expected = 0;
      for (const v1::Receipt& receipt : of_mode) expected += row.of(receipt);
      const double counted = sum(after, row.series, labels) - sum(before, row.series, labels);
      EXPECT_NEAR(counted, expected, 1e-9 * std::abs(expected) + 1e-9) << row.series << " of " << mode;
    }
    double waited = 0;
    for (const v1::Receipt& receipt : of_mode) waited += receipt.interference_seconds();
    // The series counts a step of others once, receipts once for each stream that waited.
    EXPECT_LE(sum(after, "llm_interference_seconds_total", {{"mode", mode}}), waited * (1 + 1e-9)) << mode;
    EXPECT_GT(waited, 0) << mode;
    EXPECT_GT(sum(after, "llm_flops_total", {{"mode", mode}}), 0) << mode;
  }
  EXPECT_GT(sum(after, "llm_preemptions_total"), 0);
  EXPECT_GT(sum(after, "llm_prompt_tokens_total", {{"source", "cached"}}), 0);
}

TEST_F(Account, ServerInfoSaysWhatReceiptsAddUpTo) {
  const auto receipts = work(4);
  const auto info = server_->client().info();
  ASSERT_TRUE(info.ok()) << info.status();
  ASSERT_EQ(info->modes_size(), static_cast<int>(kModes.size()));
  for (const v1::Mode& mode : info->modes()) {
    double tokens = 0, device = 0, ttft = 0, tpot = 0, requests = 0, paced = 0;
    for (const v1::Receipt& receipt : receipts.at(mode.id())) {
      tokens += receipt.generated_tokens();
      device += receipt.device_seconds();
      ttft += receipt.ttft_seconds();
      tpot += receipt.tpot_seconds();
      requests += receipt.generated_tokens() > 0 ? 1 : 0;
      paced += receipt.generated_tokens() > 1 ? 1 : 0;
    }
    const v1::Served& served = mode.served();
    EXPECT_EQ(static_cast<double>(served.generated_tokens()), tokens) << mode.id();
    EXPECT_NEAR(served.device_seconds(), device, 1e-9 * device) << mode.id();
    EXPECT_NEAR(served.mean_ttft_seconds(), ttft / requests, 1e-9) << mode.id();
    EXPECT_NEAR(served.mean_tpot_seconds(), tpot / paced, 1e-9) << mode.id();
    EXPECT_NEAR(served.generated_tokens_per_second(), tokens / device, 1e-6 * tokens / device) << mode.id();
    EXPECT_GT(served.interference_seconds(), 0) << mode.id();
  }
}

using Entries = std::map<std::tuple<std::string, std::string, std::string, std::string>, double>;

Entries entries_of(const v1::MemoryReport& report) {
  Entries out;
  for (const v1::MemoryEntry& entry : report.entries()) {
    const auto set = [&](const char* stage, uint64_t bytes) {
      out[{entry.device(), entry.owner(), entry.category(), stage}] = static_cast<double>(bytes);
    };
    set("", entry.bytes());
    set("load", entry.peaks().load_bytes());
    set("prefill", entry.peaks().prefill_bytes());
    set("decode", entry.peaks().decode_bytes());
  }
  return out;
}

Entries entries_of(const MetricsPage& page) {
  Entries out;
  for (const char* family : {"llm_memory_bytes", "llm_memory_peak_bytes"}) {
    auto found = page.families.find(family);
    if (found == page.families.end()) continue;
    for (const PageSample& sample : found->second.samples) {
      PageLabels labels = sample.labels;
      out[{labels["device"], labels["owner"], labels["category"], labels["stage"]}] = sample.value;
    }
  }
  return out;
}

struct Info {
  v1::ServerInfo server;
  v1::MemoryReport memory;
};

Info info_of_command(const std::string& address) {
  Info info;
  auto run = run_process({{program("halftone"), "--server", address, "info", "--json"}, {}, ""}, 30s);
  EXPECT_TRUE(run.ok() && run->end.code == 0) << run.status();
  if (!run.ok()) return info;
  const auto json = nlohmann::json::parse(run->output, nullptr, false);
  EXPECT_TRUE(json.is_object()) << run->output;
  if (!json.is_object()) return info;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json["server"].dump(), &info.server).ok());
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json["memory"].dump(), &info.memory).ok());
  return info;
}

TEST_F(Account, MemoryIsTheSameInMetricsApiAndCommand) {
  work(2);
  Client client = server_->client();
  const auto api = client.memory();
  ASSERT_TRUE(api.ok()) << api.status();
  const Info command = info_of_command(server_->address());
  const MetricsPage page = server_->page();
  EXPECT_GT(entries_of(*api).size(), 8u);
  EXPECT_EQ(entries_of(*api), entries_of(page));
  EXPECT_EQ(entries_of(*api), entries_of(command.memory));
  ASSERT_EQ(api->devices_size(), 1);
  const v1::DeviceMemory& device = api->devices(0);
  EXPECT_EQ(static_cast<double>(device.total_bytes()), sum(page, "llm_memory_device_total_bytes"));
  EXPECT_EQ(static_cast<double>(device.accounted_bytes()), sum(page, "llm_memory_device_accounted_bytes"));
  EXPECT_EQ(device.accounted_bytes(), command.memory.devices(0).accounted_bytes());
  EXPECT_EQ(device.total_bytes(), command.server.devices(0).total_bytes());

  ASSERT_EQ(command.server.modes_size(), static_cast<int>(kModes.size()));
  for (int i = 0; i < command.server.modes_size(); ++i) {
    const v1::Mode& mode = command.server.modes(i);
    const PageLabels of_mode = {{"mode", mode.id()}};
    const auto weights = [&](const char* sharing) {
      return sum(page, "llm_mode_weights_bytes", {{"mode", mode.id()}, {"sharing", sharing}});
    };
    EXPECT_EQ(static_cast<double>(mode.own_bytes()), weights("own"));
    EXPECT_EQ(static_cast<double>(mode.shared_bytes()), weights("shared"));
    EXPECT_EQ(static_cast<double>(mode.kv_bytes_per_token()), sum(page, "llm_kv_bytes_per_token", of_mode));
    EXPECT_EQ(static_cast<double>(mode.kv_capacity_tokens()), sum(page, "llm_kv_capacity_tokens", of_mode));
    EXPECT_NEAR(mode.bits_per_weight(), sum(page, "llm_weight_bitwidth", of_mode), 1e-9);
    EXPECT_EQ(api->footprints(i).mode(), mode.id());
    EXPECT_EQ(static_cast<double>(api->footprints(i).bytes()), sum(page, "llm_mode_footprint_bytes", of_mode));
    EXPECT_GT(api->footprints(i).bytes(), mode.own_bytes() + mode.shared_bytes());
  }
}

TEST_F(Account, CategoriesAndUnaccountedAddUpToWhatIsUsedAtEveryMoment) {
  std::atomic<bool> done{false};
  std::thread worker([&] {
    work(12);
    done = true;
  });
  int samples = 0;
  double held = 0;
  while (!done || samples < 3) {
    const MetricsPage page = server_->page();
    const double entries = sum(page, "llm_memory_bytes");
    EXPECT_EQ(entries, sum(page, "llm_memory_device_accounted_bytes"));
    EXPECT_EQ(entries + sum(page, "llm_memory_device_unaccounted_bytes"), sum(page, "llm_memory_device_used_bytes"));
    for (const std::string& mode : kModes) {
      held = std::max(held, sum(page, "llm_memory_bytes", {{"owner", mode}, {"category", "kv_cache"}}));
    }
    const auto report = server_->client().memory();
    ASSERT_TRUE(report.ok()) << report.status();
    uint64_t bytes = 0;
    for (const v1::MemoryEntry& entry : report->entries()) bytes += entry.bytes();
    EXPECT_EQ(bytes, report->devices(0).accounted_bytes());
    EXPECT_EQ(static_cast<int64_t>(report->devices(0).used_bytes()) - report->devices(0).unaccounted_bytes(),
              static_cast<int64_t>(bytes));
    ++samples;
  }
  worker.join();
  EXPECT_GT(held, 0) << "no sample saw a page in use";
  for (const std::string& mode : kModes) {
    EXPECT_EQ(sum(server_->page(), "llm_memory_bytes", {{"owner", mode}, {"category", "kv_cache"}}), 0) << mode;
  }
  std::printf("%d samples, at most %.0f KiB of pages in use\n", samples, held / 1024);
}

TEST_F(Account, UnaccountedMemoryStaysSmallAndSteady) {
  if (sanitized()) GTEST_SKIP() << "a sanitizer has memory of its own";
  work(10);
  const double first = sum(server_->page(), "llm_memory_device_unaccounted_bytes");
  double last = first;
  for (int batch = 0; batch < 4; ++batch) {
    work(10);
    last = sum(server_->page(), "llm_memory_device_unaccounted_bytes");
    EXPECT_LT(last, 64 * kMiB);
  }
  std::printf("unaccounted: %.1f MiB after 160 requests, %.1f MiB after 800\n", first / kMiB, last / kMiB);
  EXPECT_GE(first, 0);
  EXPECT_LT(std::abs(last - first), 6 * kMiB);
}

}  // namespace
}  // namespace halftone
