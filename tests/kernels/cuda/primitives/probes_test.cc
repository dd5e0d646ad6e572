// The primitives on random bits: the GPU against what it gave before, the fibers against the GPU.
//
//   HALFTONE_REQUIRE=cuda:0 HALFTONE_WRITE_GOLDEN=<folder> cuda_probes_test
//
// on a machine with a GPU compares it with the fibers and writes what it gave: the goldens are kept beside this file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <set>
#include <sstream>

#include "kernels/cuda_host/cuda_host.h"
#include "tests/kernels/cuda/primitives/golden.h"
#include "tests/kernels/devices.h"

namespace halftone::test {
namespace {

constexpr const char* kFibers = "cuda:host";
constexpr const char* kCard = "cuda:0";
const std::string kGoldens = std::string(HALFTONE_TEST_DATA) + "/kernels/cuda/primitives/golden/";

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::array<char, 16> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d", std::gmtime(&now));
  return text.data();
}

Words on_fibers(const Probe& probe, const cuda_host::Settings& settings = {}) {
  cuda_host::configure(settings);
  const Outcome outcome = cuda_host::probe_device().run(probe.kernel, probe.in);
  cuda_host::configure({});
  EXPECT_EQ(outcome.error, "");
  return outcome.words;
}

void write_golden(const Probe& probe, const Words& words, const std::string& folder, const std::string& gpu) {
  std::ofstream file(folder + "/" + probe.name + ".txt", std::ios::binary);
  file << golden_text(probe, words, gpu + ", " + today());
  EXPECT_TRUE(file.flush()) << "cannot write into " << folder;
}

void expect_agreement(const Probe& probe, const Words& words, const std::string& golden_text) {
  const std::optional<Golden> golden = parse_golden(golden_text);
  ASSERT_TRUE(golden) << "the golden of " << probe.name << " is damaged";
  ASSERT_EQ(golden->inputs, digest(probe.in)) << "the golden is of other inputs: record it again";
  EXPECT_TRUE(agree_with_kept(probe, words, golden->kept));
}

// -- each probe on each device -------------------------------------------------------------------------------------

class DeviceProbes : public testing::TestWithParam<std::tuple<std::string, Probe>> {
 protected:
  const std::string& device_name() const { return std::get<0>(GetParam()); }
  const Probe& probe() const { return std::get<1>(GetParam()); }

  void SetUp() override {
    device_ = device_name() == kCard ? cuda::probe_device() : cuda_host::probe_device();
    if (!device_.gpu.empty()) return;
    if (is_required({device_name(), ""})) FAIL() << device_name() << " is required and not here";
    GTEST_SKIP() << device_name() << " is not on this machine";
  }

  ProbeDevice device_;
};

TEST_P(DeviceProbes, GiveWhatTheCardGave) {
  const Outcome outcome = device_.run(probe().kernel, probe().in);
  if (outcome.has_no_code) GTEST_SKIP() << device_.gpu << " is too old for this primitive";
  ASSERT_EQ(outcome.error, "");
  if (device_name() == kCard) {
    EXPECT_TRUE(agree(probe(), on_fibers(probe()), outcome.words)) << "fibers and GPU";
    if (const char* folder = std::getenv("HALFTONE_WRITE_GOLDEN"); folder != nullptr) {
      return write_golden(probe(), outcome.words, folder, device_.gpu);
    }
  }
  std::ifstream file(kGoldens + probe().name + ".txt", std::ios::binary);
  if (!file) {
    if (device_name() == kCard) return;  // compared it is
    GTEST_SKIP() << "no GPU has recorded it: HALFTONE_REQUIRE=cuda:0 HALFTONE_WRITE_GOLDEN=" << kGoldens
                 << " cuda_probes_test, where there is one";
  }
  std::ostringstream text;
  text << file.rdbuf();
  expect_agreement(probe(), outcome.words, text.str());
}

INSTANTIATE_TEST_SUITE_P(Each, DeviceProbes,
                         testing::Combine(testing::Values(kFibers, kCard), testing::ValuesIn(all_probes())),
                         [](const auto& info) {
                           std::string device = std::get<0>(info.param);
                           std::replace(device.begin(), device.end(), ':', '_');
                           return device + "_" + std::get<1>(info.param).name;
                         });

// -- the probes themselves -----------------------------------------------------------------------------------------

class AnyProbe : public testing::TestWithParam<Probe> {};

TEST_P(AnyProbe, GivesFibersTheSameInEveryOrder) {
  const Words words = on_fibers(GetParam());
  for (uint64_t seed = 1; seed < 4; ++seed) {
    const int blocks = seed % 2 == 0 ? 4 : 1;
    EXPECT_EQ(on_fibers(GetParam(), {.seed = seed, .eager_copies = seed % 2 == 1, .coresident_blocks = blocks}), words);
  }
}

// Whatever a twin got wrong would be seen: a bit of any word, two lanes that were swapped, a result that is missing.
TEST_P(AnyProbe, WouldSeeMistakes) {
  const Probe& probe = GetParam();
  const Words right = on_fibers(probe), kept = kept_words(probe, right);
  ASSERT_GE(std::set<uint32_t>(right.begin(), right.end()).size(), 32u) << "hardly anything came out";
  const auto expect_seen = [&](const Words& wrong, const std::string& mistake) {
    EXPECT_FALSE(agree(probe, right, wrong)) << mistake;
    EXPECT_FALSE(agree_with_kept(probe, wrong, kept)) << mistake;
  };
  expect_seen(Words(right.size()), "nothing was written");
  for (size_t i = 0; i < right.size(); i += right.size() / 16) {
    Words wrong = right;
    wrong[i] ^= probe.bounds.empty() ? 1u : 1u << 23;
    expect_seen(wrong, "a bit of word " + std::to_string(i));
  }
  Words wrong = right;
  std::rotate(wrong.begin(), wrong.begin() + 1, wrong.end());
  expect_seen(wrong, "each has its neighbour's");
}

INSTANTIATE_TEST_SUITE_P(Each, AnyProbe, testing::ValuesIn(all_probes()),
                         [](const auto& info) { return info.param.name; });

TEST(Probes, AreOfEveryKernelAndHaveNamesOfTheirOwn) {
  std::set<std::string> names, kernels;
  for (const Probe& probe : all_probes()) {
    EXPECT_TRUE(names.insert(probe.name).second) << probe.name;
    kernels.insert(probe.kernel);
  }
  EXPECT_THAT(cuda_host::probe_device().kernels, testing::UnorderedElementsAreArray(kernels));
}

TEST(Probes, GoldensAreSmall) {
  size_t bytes = 0;
  for (const Probe& probe : all_probes()) bytes += golden_text(probe, on_fibers(probe), "An ordinary GPU").size();
  EXPECT_LT(bytes, 200'000u);
}

}  // namespace

// gtest's way to print a parameter, which is long.
void PrintTo(const Probe& probe, std::ostream* out) { *out << probe.name; }

}  // namespace halftone::test
