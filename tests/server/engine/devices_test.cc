// The engine over real executors, of four modes of a tiny model on every device: answers are those that a request gets
// alone, to the bit of their log-probabilities; what was held is given back; the account is the device's; a device that
// fails ends everything.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <set>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/primitives/barriers.h"
#include "kernels/cuda_host/cuda_host.h"
#include "tests/kernels/cuda/cuda_devices.h"
#include "tests/server/engine/engine_rig.h"
#include "tests/server/engine/receipt_sums.h"
#include "tests/server/engine/watched_executor.h"
#include "tests/server/executor/executor_rig.h"
#include "tests/server/model/memory_source.h"
#include "tests/support/fake_executor.h"

namespace halftone {
namespace {

const std::vector<std::string> kModes = {"bf16", "w8a16+kv8", "w4a16", "w4a16+kv8"};
constexpr int64_t kChunk = 7;                                // prompt tokens of a step
constexpr uint64_t kManyPages = 1 << 20, kFewPages = 28000;  // bytes; the few are six pages
constexpr Nanoseconds kStepTime = 2'000'000;                 // more than a mode's share of a round
constexpr Nanoseconds kHour = 3'600'000'000'000;

ModelSource tiny_model() {
  TinyCheckpoint tiny;
  tiny.config.vocabulary = kFakeVocabularySize;
  return tiny_source(tiny);
}

EngineConfig small_steps(int64_t max_running) {
  EngineConfig config;
  config.step_budget = 1;  // so that a step takes min_prompt_tokens of prompts, however fast the device is
  config.min_prompt_tokens = kChunk;
  config.stall_limit = 24 * kHour;
  config.max_running = max_running;
  return config;
}

// What a rig's engine works with: there before the engine, and after it.
struct Hardware {
  Hardware(const std::string& device, uint64_t kv_bytes)
      : model(tiny_model(), {.modes = kModes, .kv_bytes = kv_bytes, .device = device}), executor(model.executor()) {}

  // This machine's time, and what a test skips.
  Nanoseconds now() const { return std::chrono::steady_clock::now().time_since_epoch().count() + skipped.now(); }

  ExecutorRig model;
  WatchedExecutor executor;
  FakeClock skipped;
};

struct Asked {
  ModeIndex mode = 0;
  std::vector<int32_t> prompt;
  std::vector<RowResult> alone;
  std::shared_ptr<OutputStream> stream;
};

// Modes take turns step by step, however fast the device is. The engine is started by the test, when all has been
// asked.
class DeviceRig : public Hardware, public EngineRig {
 public:
  DeviceRig(const std::string& device, uint64_t kv_bytes, int64_t max_running = 64)
      : Hardware(device, kv_bytes), EngineRig(executor, small_steps(max_running), [this] { return now(); }) {
    executor.after_step = [](const StepInput&, StepOutput& output) { output.device_time = kStepTime; };
  }

  Request with_logprobs(ModeIndex mode, const std::vector<int32_t>& prompt, uint32_t tokens) {
    Request asked = request(prompt, tokens, mode);
    asked.logprobs = 1;
    return asked;
  }

  // Computed alone, by the executor itself, then given to the engine.
  Asked ask(ModeIndex mode, const std::vector<int32_t>& prompt, uint32_t tokens) {
    return {mode, prompt, model.greedy_rows(mode, prompt, tokens), submit(with_logprobs(mode, prompt, tokens))};
  }

  // Of each mode a brief prompt and two long ones that begin alike; the same prompts of all modes, so that whatever a
  // mode takes from another is wrong.
  std::vector<Asked> ask_crowd() {
    std::vector<std::vector<int32_t>> prompts = {prompt_of(5, 1)};
    for (int64_t tail : {5, 30}) {
      prompts.push_back(prompt_of(40, 2));
      for (int32_t id : prompt_of(tail, 3)) prompts.back().push_back(id);
    }
    std::vector<Asked> crowd;
    for (ModeIndex mode = 0; mode < std::ssize(kModes); ++mode) {
      for (const std::vector<int32_t>& prompt : prompts)
        crowd.push_back(ask(mode, prompt, prompt.size() > 5 ? 10 : 18));
    }
    return crowd;
  }

  std::vector<int32_t> prompt_of(int64_t tokens, uint64_t seed) const {
    return random_tokens(seed, tokens, executor.vocabulary());
  }
};

// The first so many tokens of the answer are those of the request alone.
void expect_alone(const Asked& asked, const Answer& answer, size_t tokens) {
  SCOPED_TRACE(kModes[static_cast<size_t>(asked.mode)]);
  ASSERT_GE(answer.all.tokens.size(), tokens);
  ASSERT_GE(asked.alone.size(), tokens);
  for (size_t i = 0; i < tokens; ++i) {
    const TokenRecord& got = answer.all.tokens[i];
    ASSERT_EQ(got.id, asked.alone[i].token) << "token " << i;
    ASSERT_EQ(std::bit_cast<uint32_t>(*got.logprob), std::bit_cast<uint32_t>(asked.alone[i].logprob)) << "token " << i;
  }
}

// Reads all answers, by mode.
std::vector<ReceiptSums> expect_all_alone(std::span<const Asked> crowd) {
  std::vector<ReceiptSums> sums(kModes.size());
  for (const Asked& asked : crowd) {
    const Answer answer = read_all(asked.stream);
    EXPECT_TRUE(answer.status.ok()) << answer.status;
    EXPECT_EQ(answer.all.tokens.size(), asked.alone.size());
    expect_alone(asked, answer, asked.alone.size());
    sums[static_cast<size_t>(asked.mode)].add(answer);
  }
  return sums;
}

// Nobody holds pages: neither the scheduler nor, by name, the device's ledger.
void expect_pages_given_back(DeviceRig& rig) {
  rig.drain();
  EXPECT_EQ(rig.pages("used"), 0);
  EXPECT_EQ(rig.pages("free") + rig.pages("cached"), static_cast<double>(rig.executor.pages()));
  uint64_t of_modes = 0;
  for (const MemoryEntry& entry : rig.model.ledger().entries()) {
    const MemoryCategory category = entry.tag.category;
    const bool kv = category == MemoryCategory::kKvCache || category == MemoryCategory::kKvScales ||
                    category == MemoryCategory::kKvPadding;
    if (kv && entry.tag.owner != "shared") of_modes += entry.bytes;
  }
  EXPECT_EQ(of_modes, 0u);
}

class EngineOnDevice : public testing::TestWithParam<test::TestDevice> {
 protected:
  void SetUp() override { test::skip_unless_here(GetParam()); }
};

// How a crowd was computed.
struct Steps {
  int64_t count = 0, longest_chunk = 0;
  int64_t mixed = 0;  // with decodes beside a chunk of a prompt
  int64_t turns = 0;  // from one mode to another
  ModeIndex last = 0;

  void look(const StepInput& step) {
    int64_t decodes = 0, chunks = 0;
    for (const StepSequence& sequence : step.sequences) {
      ++(sequence.tokens.size() == 1 ? decodes : chunks);
      longest_chunk = std::max(longest_chunk, std::ssize(sequence.tokens));
    }
    ++count;
    mixed += decodes > 0 && chunks > 0;
    turns += step.kv != last;
    last = step.kv;
  }
};

TEST_P(EngineOnDevice, AnswersInACrowdAreThoseOfARequestAlone) {
  DeviceRig rig(GetParam().name, kManyPages);
  Steps steps;
  rig.executor.before_step = [&](const StepInput& step) { steps.look(step); };
  const std::vector<Asked> crowd = rig.ask_crowd();
  std::set<float> first_logprobs;
  for (const Asked& asked : crowd) first_logprobs.insert(asked.alone[0].logprob);
  EXPECT_EQ(first_logprobs.size(), crowd.size()) << "what gives the same answer cannot be told apart";

  rig.engine->start();
  for (const ReceiptSums& mode : expect_all_alone(crowd)) {
    EXPECT_GT(mode.of.cached_tokens, 0u);
    EXPECT_EQ(mode.of.preemptions, 0u);
  }
  EXPECT_EQ(steps.longest_chunk, kChunk);
  EXPECT_GT(steps.mixed, std::ssize(kModes));
  EXPECT_GT(steps.turns, steps.count / 2);
  expect_pages_given_back(rig);
}

// Of a mode with pages of 16 tokens the first two requests grow to six pages, and the third has begun before.
TEST_P(EngineOnDevice, AnswersOfRequestsThatWerePutBackAreTheSame) {
  DeviceRig rig(GetParam().name, kFewPages);
  ASSERT_EQ(rig.executor.pages(), 6);
  const std::vector<Asked> crowd = rig.ask_crowd();
  rig.engine->start();
  uint32_t preemptions = 0;
  for (const ReceiptSums& mode : expect_all_alone(crowd)) preemptions += mode.of.preemptions;
  EXPECT_GT(preemptions, 0u);
  expect_pages_given_back(rig);
}

// A request that ends before its time: when it computes this position, in company.
struct Victim {
  static constexpr int64_t kPosition = 30;

  Asked asked;
  bool met = false;
  bool in_company = false;
  Answer answer;

  bool meets(const StepInput& step) {
    for (const StepSequence& sequence : step.sequences) {
      if (step.kv != asked.mode || sequence.first_position != kPosition || met) continue;
      in_company = step.sequences.size() > 1;
      return met = true;
    }
    return false;
  }
  // The step that computed the position gave a token more, and was the last.
  void expect_ended(absl::StatusCode code) {
    answer = read_all(asked.stream);
    EXPECT_TRUE(in_company);
    EXPECT_EQ(answer.status.code(), code) << answer.status;
    const size_t tokens = static_cast<size_t>(kPosition) + 2 - asked.prompt.size();
    EXPECT_EQ(answer.all.tokens.size(), tokens);
    expect_alone(asked, answer, tokens);
  }
};

TEST_P(EngineOnDevice, ACancelAndADeadlineDoNotChangeTheOthers) {
  DeviceRig rig(GetParam().name, kManyPages);
  const std::vector<int32_t> prompt = rig.prompt_of(20, 4);
  Victim cancelled, late;
  for (Victim* victim : {&cancelled, &late}) {
    const ModeIndex mode = victim == &cancelled ? rig.model.mode("bf16") : rig.model.mode("w4a16+kv8");
    Request request = rig.with_logprobs(mode, prompt, 400);
    if (victim == &late) request.deadline = rig.now() + kHour;
    victim->asked = {mode, prompt, rig.model.greedy_rows(mode, prompt, 14), rig.submit(request)};
  }
  std::vector<Asked> others(kModes.size());
  for (size_t i = 0; i < others.size(); ++i) others[i] = rig.ask(static_cast<ModeIndex>(i), rig.prompt_of(4, 5), 22);
  rig.executor.before_step = [&](const StepInput& step) {
    if (cancelled.meets(step)) cancelled.asked.stream->cancel();
    if (late.meets(step)) rig.skipped.advance(kHour);
  };
  rig.engine->start();
  expect_all_alone(others);
  cancelled.expect_ended(absl::StatusCode::kCancelled);
  late.expect_ended(absl::StatusCode::kDeadlineExceeded);
  // What they have left in the prefix cache is right.
  const Answer again = rig.run(rig.with_logprobs(cancelled.asked.mode, prompt, 14));
  EXPECT_GT(again.all.receipt->cached_tokens, 0u);
  expect_alone(cancelled.asked, again, 14);
  expect_pages_given_back(rig);
}

// What the executor said of the steps of a mode.
struct DeviceSums {
  double tokens = 0, flops = 0, bytes = 0, seconds = 0;
};

// Of the same doubles in another order; none is added to another more than a thousand times.
void expect_same_sum(double a, double b) { EXPECT_NEAR(a, b, 1000 * 0x1p-52 * a); }

TEST_P(EngineOnDevice, ReceiptsAddUpToWhatTheDeviceDid) {
  DeviceRig rig(GetParam().name, kFewPages);
  std::vector<DeviceSums> device(kModes.size());
  rig.executor.after_step = [&, steps = 0](const StepInput& step, StepOutput& output) mutable {
    output.device_time = kStepTime + 1000 * ++steps;  // no two alike
    DeviceSums& mode = device[static_cast<size_t>(step.weights)];
    for (const StepSequence& sequence : step.sequences) mode.tokens += static_cast<double>(sequence.tokens.size());
    mode.flops += output.flops;
    mode.bytes += output.bytes_moved;
    mode.seconds += static_cast<double>(output.device_time) * 1e-9;
  };
  const std::vector<Asked> crowd = rig.ask_crowd();
  rig.engine->start();
  const std::vector<ReceiptSums> receipts = expect_all_alone(crowd);
  rig.drain();
  double recomputed = 0;
  for (size_t i = 0; i < kModes.size(); ++i) {
    SCOPED_TRACE(kModes[i]);
    ModeMetrics& mode = rig.metrics->mode(static_cast<ModeIndex>(i));
    expect_sums_of(mode, receipts[i]);
    const Receipt& sum = receipts[i].of;
    EXPECT_GT(sum.flops, 0);
    EXPECT_GT(sum.bytes_moved, 0);
    expect_same_sum(sum.flops, device[i].flops);
    expect_same_sum(sum.bytes_moved, device[i].bytes);
    expect_same_sum(sum.device_seconds, device[i].seconds);
    // Of an answer every token but the last is computed.
    EXPECT_EQ(device[i].tokens, mode.prompt_tokens_computed->Value() + mode.recomputed_tokens->Value() +
                                    receipts[i].tokens - receipts[i].requests);
    recomputed += mode.recomputed_tokens->Value();
  }
  EXPECT_GT(recomputed, 0);
}

std::string name_of_device(const testing::TestParamInfo<test::TestDevice>& info) {
  return info.param.name == "cpu" ? "cpu" : test::name_of_cuda_device(info);
}

std::vector<test::TestDevice> all_engine_devices() {
  std::vector<test::TestDevice> devices = test::all_cuda_devices();
  devices.insert(devices.begin(), {"cpu", ""});
  return devices;
}

INSTANTIATE_TEST_SUITE_P(All, EngineOnDevice, testing::ValuesIn(all_engine_devices()), name_of_device);

// A few requests run and the others wait when, in the sixth step, it happens.
void lose_device(const test::TestDevice& device, const std::function<void(Device&)>& happens, const std::string& why) {
  DeviceRig rig(device.name, kManyPages, 3);
  std::vector<std::shared_ptr<OutputStream>> streams(2 * kModes.size());
  for (size_t i = 0; i < streams.size(); ++i) {
    streams[i] = rig.submit(rig.request(rig.prompt_of(9, 6), 100, static_cast<ModeIndex>(i % kModes.size())));
  }
  int steps = 0;
  rig.executor.before_step = [&](const StepInput&) {
    if (++steps == 6) happens(rig.model.device());
  };
  expect_device_lost(rig, streams, why);
  EXPECT_EQ(steps, 6);
}

// The CPU has no way to fail.
class EngineOnCuda : public EngineOnDevice {};

TEST_P(EngineOnCuda, ACallThatTheRuntimeRefusesEndsEveryStream) {
  const auto copy_to_nowhere = [](Device& device) { device.upload(nullptr, std::vector<std::byte>(64)); };
  lose_device(GetParam(), copy_to_nowhere, "copying: cudaErrorInvalidValue");
}

INSTANTIATE_TEST_SUITE_P(All, EngineOnCuda, testing::ValuesIn(test::all_cuda_devices()), test::name_of_cuda_device);

HALFTONE_KERNEL void wait_for_nobody() {
  if (threadIdx.x == 0) cuda_host::named_barrier(1, 64);
}

// Not on a GPU, which would be lost to the whole process. The kernel is on the default stream: the step's own come
// after it, and the host hears of it when it waits for them.
TEST(EngineOnCudaHost, AKernelThatFailsEndsEveryStream) {
  const auto fail = [](Device&) { EXPECT_EQ(cuda_host::launch(wait_for_nobody, {1, 64}), cudaSuccess); };
  lose_device({"cuda:host", ""}, fail, "deadlock");
  cuda_host::reset();
}

}  // namespace
}  // namespace halftone
