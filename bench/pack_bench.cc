// pack_bench: how fast values become packed weights. First the search of each format (kernels/weights/group_search.h)
// on one thread, by every body that runs here, beside the body without an instruction set in the same rounds; then,
// with
// --weights N, so many values really quantized and packed by all threads.
//
// The floor of a search is its float operations for one value: adds, products and comparisons alike, none of them
// fused, since the rule allows that nowhere (docs/NUMERICS.md, "Packing from values"):
//   w4  49 ranges x 11 + 9 errors x 15 + 9 of measuring = 683
//   w8  77 scales x 6 + 19 that clip x 8 + 7 errors x 13 + 6 of measuring = 711
// A core does a vector or two of them a clock: with AVX-512 on most servers 32, so 21 clocks a value in w4 and 22 in
// w8.
#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kernels/contract/device.h"
#include "kernels/cpu/cpu_device.h"
#include "kernels/weights/w4/w4_search.h"
#include "kernels/weights/w8/w8_search.h"
#include "kernels/weights/weights.h"

namespace halftone::bench {
namespace {

constexpr const char* kUsage =
    "pack_bench [--seconds S] [--weights N] [--threads N]\n"
    "  --seconds  for each row of the table, 0.01 to 3600; 1\n"
    "  --weights  values to quantize and pack in w4 and in w8 as well, 0 to 4000000000; 0\n"
    "  --threads  that do it, at most 256; 0: one for each processor\n";

struct Options {
  double seconds = 1;
  int64_t weights = 0;
  int threads = 0;
};

struct Case {
  const char* format;
  const GroupSearches* searches;
  int group;  // 0: a whole row
  double operations;
};
constexpr Case kCases[] = {{"w4", &w4::kSearches, 64, 683},
                           {"w4", &w4::kSearches, 32, 683},
                           {"w8", &w8::kSearches, 0, 711},
                           {"w8", &w8::kSearches, 64, 711}};

constexpr int64_t kCols = 2048;
constexpr double kExtrapolated = 1.5e9;  // values

// Values as a model has them: like a bell.
std::vector<float> drawn(int64_t count) {
  std::minstd_rand random(1);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) {
    v = -2;
    for (int i = 0; i < 4; ++i) v += static_cast<float>(random() % 65536) / 65536;
    v *= 0.02f;
  }
  return values;
}

template <typename Work>
double timed(Work&& work) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// All groups of kPackRows rows.
void search_rows(const GroupSearch& search, const std::vector<float>& values, int64_t group, float* tile) {
  float scales[kMaxSearchRows], minimums[kMaxSearchRows];
  for (int64_t r = 0; r < kPackRows; r += search.rows) {
    for (int64_t first = 0; first < kCols; first += group) {
      search.find({values.data() + r * kCols + first, kCols, std::min(search.rows, kPackRows - r), group}, tile, scales,
                  minimums);
    }
  }
}

// The bodies take turns, and the quickest turn of each counts: what else the machine does falls on all alike.
void bench_search(const Case& c, const Options& options) {
  const std::vector<float> values = drawn(kPackRows * kCols);
  std::vector<float> tile(static_cast<size_t>(kCols * kMaxSearchRows));
  const std::vector<CpuIsa> isas = cpu_isas();
  std::vector<double> quickest(isas.size(), options.seconds * 1e3);
  for (double spent = 0; spent < options.seconds;) {
    for (size_t i = 0; i < isas.size(); ++i) {
      const GroupSearch& search = *c.searches->bodies[static_cast<int>(isas[i])];
      const double seconds = timed([&] { search_rows(search, values, c.group > 0 ? c.group : kCols, tile.data()); });
      quickest[i] = std::min(quickest[i], seconds);
      spent += seconds;
    }
  }
  for (size_t i = 0; i < isas.size(); ++i) {
    const double rate = static_cast<double>(values.size()) / quickest[i];
    std::printf("%-4s %6s  %-12s %10.1f %9.2f %16.1f\n", c.format,
                c.group > 0 ? std::to_string(c.group).c_str() : "row", std::string(cpu_isa_name(isas[i])).c_str(),
                rate / 1e6, quickest.back() / quickest[i], rate * c.operations / 1e9);
  }
}

// Quantizes and packs a matrix of so many values by all threads, as loading does: kPackRows rows at a time.
double seconds_of_matrix(Device& device, const Case& c, const Options& options) {
  const WeightFormat& format = *find_weight_format(c.format);
  const int64_t rows = (options.weights + kCols - 1) / kCols;
  const PackedShape shape = *format.plan(rows, kCols, c.group);
  const PackedBytes bytes = device.weight_bytes(format, shape);
  const Buffer codes = device.allocate(bytes.codes, {"bench", MemoryCategory::kWeights});
  const Buffer scales = device.allocate(bytes.scales, {"bench", MemoryCategory::kWeightScales});
  const PackedMatrix matrix{&format, shape, codes.data(), scales.data()};
  const std::vector<float> values = drawn(kPackRows * kCols);
  std::atomic<int64_t> next{0};
  auto work = [&] {
    WeightRows quantized;
    for (int64_t first; (first = next.fetch_add(kPackRows)) < rows;) {
      format.quantize(shape, std::min(kPackRows, rows - first), values.data(), &quantized);
      device.pack_rows(matrix, first, quantized);
    }
  };
  return timed([&] {
    std::vector<std::jthread> threads;
    for (int i = 0; i < options.threads; ++i) threads.emplace_back(work);
  });
}

void bench_matrices(Device& device, const Options& options) {
  std::printf("\n%lld values quantized and packed by %d threads (%s)\n", static_cast<long long>(options.weights),
              options.threads, std::string(device.kernel_name()).c_str());
  std::printf("%-4s %6s %9s %21s %12s\n", "", "group", "seconds", "Mvalues/s and thread", "for 1.5e9 s");
  const double values = static_cast<double>(options.weights);
  for (const Case& c : kCases) {
    const double seconds = seconds_of_matrix(device, c, options);
    std::printf("%-4s %6s %9.2f %21.1f %12.1f\n", c.format, c.group > 0 ? std::to_string(c.group).c_str() : "row",
                seconds, values / seconds / options.threads / 1e6, seconds * kExtrapolated / values);
  }
}

// False: no number, or not between the two.
template <class Number>
bool read_number(const std::string& text, Number least, Number most, Number* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size() && *number >= least && *number <= most;
}

bool parse(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return false;
    const std::string flag = argv[i], value = argv[i + 1];
    const bool read = flag == "--seconds"   ? read_number(value, 0.01, 3600.0, &options->seconds)
                      : flag == "--weights" ? read_number<int64_t>(value, 0, 4'000'000'000, &options->weights)
                                            : flag == "--threads" && read_number(value, 0, 256, &options->threads);
    if (!read) return false;
  }
  if (options->threads == 0) options->threads = cpu_threads();
  return true;
}

void run(const Options& options) {
  Ledger ledger;
  const std::unique_ptr<Device> one = make_cpu_device({.threads = 1, .isa = ""}, ledger);
  std::printf("searches on one thread\n");
  std::printf("%-4s %6s  %-12s %10s %9s %16s\n", "", "group", "body", "Mvalues/s", "times", "G operations/s");
  for (const Case& c : kCases) bench_search(c, options);
  if (options.weights > 0) bench_matrices(*one, options);
}

}  // namespace
}  // namespace halftone::bench

int main(int argc, char** argv) {
  halftone::bench::Options options;
  if (!halftone::bench::parse(argc, argv, &options)) {
    std::fputs(halftone::bench::kUsage, stderr);
    return 2;
  }
  halftone::bench::run(options);
}
