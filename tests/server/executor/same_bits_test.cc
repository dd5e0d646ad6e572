// What a row of logits must not depend on: chunk edges, pages, company, threads, instruction set, where memory is.
#include <gtest/gtest.h>

#include "kernels/cpu/cpu_device.h"
#include "tests/server/executor/executor_rig.h"
#include "tests/support/checkpoint_golden.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

class Variations {
 public:
  Variations(ExecutorRig& rig, ModeIndex mode, std::span<const int32_t> prompt, std::span<const RowResult> expected,
             std::string what)
      : rig_(rig), mode_(mode), prompt_(prompt), expected_(expected), what_(std::move(what)) {
    page_tokens_ = rig.executor().modes()[static_cast<size_t>(mode)].page_tokens;
  }

  void chunks(int64_t tokens) {
    expect_same_rows(expected_, rig_.run(mode_, prompt_, tokens), what_ + " in chunks of " + std::to_string(tokens));
  }

  // Another sequence, which goes on differently, computed the first pages.
  void prefix_hit() {
    const int64_t shared = (size() - 1) / page_tokens_ * page_tokens_;  // something is left to compute
    std::vector<int32_t> other(prompt_.begin(), prompt_.begin() + shared);
    for (int32_t token : random_tokens(7, 9, rig_.executor().vocabulary())) other.push_back(token);
    const std::vector<PageId> others = rig_.take_pages(mode_, static_cast<int64_t>(other.size()));
    rig_.run(mode_, other, others, 11);
    std::vector<PageId> pages = rig_.take_pages(mode_, size());
    std::copy_n(others.begin(), shared / page_tokens_, pages.begin());
    const std::vector<RowResult> rows = rig_.run(mode_, prompt_, pages, size(), shared);
    expect_same_rows(expected_.subspan(static_cast<size_t>(shared)), rows, what_ + " after a prefix hit");
  }

  // Stopped half way, its pages taken by somebody else, begun again in other ones.
  void preemption() {
    const size_t half = static_cast<size_t>(size() / 2);
    const std::vector<PageId> lost = rig_.take_pages(mode_, size());
    rig_.run(mode_, prompt_.first(half), lost, 6);
    rig_.run(mode_, random_tokens(8, size(), rig_.executor().vocabulary()), lost, size());
    std::vector<PageId> pages = rig_.take_pages(mode_, size());
    std::reverse(pages.begin(), pages.end());
    expect_same_rows(expected_, rig_.run(mode_, prompt_, pages, 13), what_ + " after a preemption");
  }

  // Between a prompt, which begins as this one does, and two sequences that are being decoded.
  void company() {
    const int64_t vocabulary = rig_.executor().vocabulary();
    const std::vector<int32_t> before = random_tokens(1, 60, vocabulary), after = random_tokens(2, 60, vocabulary);
    const std::vector<PageId> before_pages = rig_.take_pages(mode_, 60), after_pages = rig_.take_pages(mode_, 60);
    const std::vector<PageId> pages = rig_.take_pages(mode_, size());
    std::vector<RowResult> rows;
    int64_t first = 0, step = 0;
    while (first < size()) {
      const int64_t chunk = std::min<int64_t>(4 + step * 5, size() - first), decoded = step;
      const size_t at = static_cast<size_t>(first);
      const Piece pieces[] = {
          {std::span(before).subspan(static_cast<size_t>(decoded), 1), decoded, before_pages, {}, step % 2 == 0},
          {prompt_.subspan(at, static_cast<size_t>(chunk)), first, pages, {}, true},
          {std::span(after).subspan(static_cast<size_t>(decoded * 3), 3), decoded * 3, after_pages, {}, true},
      };
      StepOutput output = rig_.step(mode_, pieces);
      const int64_t skipped = pieces[0].wanted ? 1 : 0;
      for (int64_t i = 0; i < chunk; ++i) rows.push_back(std::move(output.rows[static_cast<size_t>(skipped + i)]));
      first += chunk;
      ++step;
    }
    expect_same_rows(expected_, rows, what_ + " in a mixed batch");
  }

 private:
  int64_t size() const { return static_cast<int64_t>(prompt_.size()); }

  ExecutorRig& rig_;
  ModeIndex mode_;
  std::span<const int32_t> prompt_;
  std::span<const RowResult> expected_;
  std::string what_;
  int64_t page_tokens_ = 0;
};

// Every weight and activation format; groups of 32 may end short, which odd widths need.
const std::vector<std::string>& all_modes() {
  static const std::vector<std::string> kModes = {"f32",     "f32+kv8",     "bf16",     "w8a16",
                                                  "w8a8",    "w8g32a8+kv8", "w8a8t",    "w4g32a16",
                                                  "w4g32a8", "w4g32a8+kv8", "w4g128a8t"};
  return kModes;
}

// In chunks of every kind, on whatever is behind the rig.
void expect_same_bits_on(ExecutorRig& rig, std::span<const int32_t> prompt,
                         std::span<const std::vector<RowResult>> expected, const std::string& where) {
  for (ModeIndex mode = 0; mode < static_cast<ModeIndex>(all_modes().size()); ++mode) {
    const size_t index = static_cast<size_t>(mode);
    Variations vary(rig, mode, prompt, expected[index], all_modes()[index] + where);
    for (int64_t chunk : {static_cast<int64_t>(prompt.size()), int64_t{1}, int64_t{17}}) vary.chunks(chunk);
    vary.company();
    vary.prefix_hit();
    vary.preemption();
    if (testing::Test::HasFatalFailure()) return;
  }
}

// Every mode alone in one chunk and in a mixed batch, on every instruction set with one, two and three threads; what
// depends on neither is tried on one thread.
void expect_same_bits_everywhere(const ModelSource& source, std::span<const int32_t> prompt) {
  const int64_t size = static_cast<int64_t>(prompt.size());
  std::vector<std::vector<RowResult>> expected;
  for (CpuIsa isa : cpu_isas()) {
    for (int threads : {1, 2, 3}) {
      ExecutorRig rig(source, {.modes = all_modes(), .isa = cpu_isa_name(isa), .threads = threads});
      for (ModeIndex mode = 0; mode < static_cast<ModeIndex>(all_modes().size()); ++mode) {
        const size_t index = static_cast<size_t>(mode);
        if (expected.size() == index) expected.push_back(rig.run(mode, prompt, size));
        const std::string what =
            rig.executor().modes()[index].id + " on " + cpu_isa_name(isa) + " x " + std::to_string(threads);
        Variations vary(rig, mode, prompt, expected[index], what);
        vary.chunks(size);
        vary.company();
        if (threads == 1) {
          vary.prefix_hit();
          vary.preemption();
        }
        if (threads == 1 && isa == cpu_isas()[0]) {
          for (int64_t chunk : {1, 5, 16, 17}) vary.chunks(chunk);
        }
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
  ExecutorRig remote(source, {.modes = all_modes(), .threads = 2, .device = "remote"});
  expect_same_bits_on(remote, prompt, expected, " on a device with memory of its own");
}

class SameBits : public testing::TestWithParam<std::string> {};

TEST_P(SameBits, HoldForEveryModeHoweverItIsComputed) {
  const Golden golden = read_golden(GetParam());
  expect_same_bits_everywhere(open_source(golden.directory), golden.prompt);
}

INSTANTIATE_TEST_SUITE_P(EveryFamily, SameBits, testing::ValuesIn(all_golden_names()),
                         [](const auto& info) { return info.param; });

class SameBitsOfCodes : public testing::TestWithParam<std::string> {};

TEST_P(SameBitsOfCodes, HoldForWeightsThatCameInWithTheirOwnCodes) {
  TestDirectory directory;
  TinyCheckpoint tiny;
  tiny.body_type = GetParam();
  tiny.embedding_type = "Q8_0";
  write_tiny_gguf(directory.file("tiny.gguf"), tiny);
  expect_same_bits_everywhere(open_source(directory.file("tiny.gguf")), random_tokens(5, 40, tiny.config.vocabulary));
}

INSTANTIATE_TEST_SUITE_P(EveryGrid, SameBitsOfCodes, testing::Values("Q4_0", "Q4_1", "Q8_0"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace halftone
