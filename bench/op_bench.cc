// op_bench: how fast the operations of a device are, against what the machine can do at best, measured in the same run.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "bench/attention_bench.h"
#include "bench/linear_bench.h"
#include "kernels/devices/devices.h"
#include "kernels/kv/kv.h"
#include "kernels/weights/weights.h"

namespace halftone::bench {
namespace {

constexpr const char* kUsage =
    "op_bench [--device NAME] [--isa NAME] [--threads N] [--seconds S] [--only WORD] [--json FILE]\n"
    "  --device   cpu or cuda:N; cpu\n"
    "  --isa      of the CPU (avx512vnni, avx2, emulated); the best that runs here\n"
    "  --threads  of the CPU; 0: one for each processor\n"
    "  --seconds  for each row of the table; 0.1\n"
    "  --only     rows whose operation is this: a weight or KV format\n"
    "  --json     write the rows to a file as well\n";

struct Options {
  std::string device = "cpu";
  CpuOptions cpu;
  Budget budget;
  std::string only, json;
};

// The default model's matrices, and the largest of one with 1.1 billion weights.
constexpr LinearShape kLinearShapes[] = {{576, 576}, {1536, 576}, {576, 1536}, {49152, 576}, {5632, 2048}};
constexpr AttentionShape kAttentionShapes[] = {
    {9, 3, 64, 1, 1, 512}, {9, 3, 64, 16, 1, 512}, {9, 3, 64, 1, 128, 384}, {32, 4, 64, 8, 1, 1024}};

// False: an argument that is unknown or has no value.
bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return false;
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--device") {
      options.device = value;
    } else if (flag == "--isa") {
      options.cpu.isa = value;
    } else if (flag == "--threads") {
      options.cpu.threads = std::atoi(value.c_str());
    } else if (flag == "--seconds") {
      options.budget.seconds = std::atof(value.c_str());
    } else if (flag == "--only") {
      options.only = value;
    } else if (flag == "--json") {
      options.json = value;
    } else {
      return false;
    }
  }
  return true;
}

void bench_all(Device& device, const Options& options, Report& report) {
  auto wanted = [&](std::string_view name) { return options.only.empty() || options.only == name; };
  for (const WeightFormat* format : all_weight_formats()) {
    if (!wanted(format->name)) continue;
    for (LinearShape shape : kLinearShapes) bench_linear(device, *format, shape, options.budget, report);
  }
  for (const KvFormat* format : all_kv_formats()) {
    if (!wanted(format->name)) continue;
    for (const AttentionShape& shape : kAttentionShapes)
      bench_attention(device, *format, shape, options.budget, report);
  }
}

int run(const Options& options) {
  Ledger ledger;
  const MadeDevice made = make_device(options.device, {options.cpu}, ledger);
  if (made.device == nullptr) {
    std::fprintf(stderr, "op_bench: %s\n", made.why.c_str());
    return 1;
  }
  Device* device = made.device.get();
  const Buffer workspace =
      device->allocate(device->workspace_bytes(128, 2048, 32, 64), {"bench", MemoryCategory::kWorkspace});
  device->set_workspace(workspace.data(), workspace.bytes());
  const int threads = options.cpu.threads > 0 ? options.cpu.threads : cpu_threads();
  const std::string name = std::string(device->name()) + " " + std::string(device->kernel_name()) + ", " +
                           std::to_string(threads) + (threads == 1 ? " thread" : " threads");
  Report report(device->measure_floor());
  report.print_head(name);
  bench_all(*device, options, report);
  if (options.json.empty() || report.write_json(options.json, name)) return 0;
  std::fprintf(stderr, "op_bench: cannot write %s\n", options.json.c_str());
  return 1;
}

}  // namespace
}  // namespace halftone::bench

int main(int argc, char** argv) {
  halftone::bench::Options options;
  if (!halftone::bench::parse(argc, argv, options)) {
    std::fputs(halftone::bench::kUsage, stderr);
    return 2;
  }
  return halftone::bench::run(options);
}
