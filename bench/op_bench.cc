// op_bench: how fast the operations of a device are, against what the machine can do at best, measured in the same run.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/attention_bench.h"
#include "bench/linear_bench.h"
#include "kernels/cuda/cuda_device.h"
#include "kernels/devices/devices.h"
#include "kernels/kv/kv.h"
#include "kernels/weights/weights.h"

namespace halftone::bench {
namespace {

constexpr const char* kUsage =
    "op_bench [--device NAME] [--isa NAME] [--threads N] [--seconds S] [--shapes NAME]\n         [--only WORD] [--json "
    "FILE]\n"
    "  --device   cpu or cuda:N; cpu\n"
    "  --isa      of the CPU (avx512vnni, avx2, emulated); the best that runs here\n"
    "  --threads  of the CPU, at most 256; 0: one for each processor\n"
    "  --seconds  for each row of the table, 0.001 to 3600; 0.1\n"
    "  --shapes   of which model: default, 1b, 8b\n"
    "  --only     rows whose operation is this: a weight or KV format\n"
    "  --json     write the rows to a file as well\n"
    "Products of bf16 on a GPU are compared with NVIDIA's cuBLASLt, where it is found;\n"
    "HALFTONE_CUBLASLT=FILE names it.\n";

constexpr std::string_view kYardstickFormat = "bf16";  // its weights, its sums

struct Options {
  std::string device = "cpu";
  CpuOptions cpu;
  Budget budget;
  std::string shapes = "default", only, json;
};

// What one layer of a model does, and its head.
struct ModelShapes {
  std::string_view name;
  std::vector<LinearShape> linear;
  std::vector<AttentionShape> attention;
};
const std::vector<ModelShapes>& all_model_shapes() {
  static const std::vector<ModelShapes> kShapes = {
      // The default model's, and the largest of one with 1.1 billion weights.
      {"default",
       {{576, 576}, {1536, 576}, {576, 1536}, {49152, 576}, {5632, 2048}},
       {{9, 3, 64, 1, 1, 512}, {9, 3, 64, 16, 1, 512}, {9, 3, 64, 1, 128, 384}, {32, 4, 64, 8, 1, 1024}}},
      // Llama 3.2 1B, Llama 3.1 8B.
      {"1b",
       {{512, 2048}, {2048, 2048}, {8192, 2048}, {2048, 8192}, {128256, 2048}},
       {{32, 8, 64, 1, 1, 8192}, {32, 8, 64, 16, 1, 2048}, {32, 8, 64, 1, 128, 2048}}},
      {"8b",
       {{1024, 4096}, {4096, 4096}, {14336, 4096}, {4096, 14336}, {128256, 4096}},
       {{32, 8, 128, 1, 1, 8192}, {32, 8, 128, 16, 1, 2048}, {32, 8, 128, 64, 1, 1024}, {32, 8, 128, 1, 128, 2048}}},
  };
  return kShapes;
}
const ModelShapes* find_model_shapes(std::string_view name) {
  for (const ModelShapes& shapes : all_model_shapes()) {
    if (shapes.name == name) return &shapes;
  }
  return nullptr;
}

// False: no number, or not between the two.
template <class Number>
bool read_number(const std::string& text, Number least, Number most, Number* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size() && *number >= least && *number <= most;
}

// False: an argument that is unknown, has no value or one that makes no sense.
bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return false;
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--device") {
      options.device = value;
    } else if (flag == "--isa") {
      options.cpu.isa = value;
    } else if (flag == "--threads") {
      if (!read_number(value, 0, 256, &options.cpu.threads)) return false;
    } else if (flag == "--seconds") {
      if (!read_number(value, 0.001, 3600.0, &options.budget.seconds)) return false;
    } else if (flag == "--shapes") {
      options.shapes = value;
    } else if (flag == "--only") {
      options.only = value;
    } else if (flag == "--json") {
      options.json = value;
    } else {
      return false;
    }
  }
  return find_model_shapes(options.shapes) != nullptr;
}

void bench_all(Device& device, const ModelShapes& shapes, const Options& options, LinearYardstick* yardstick,
               Report& report) {
  auto wanted = [&](std::string_view name) { return options.only.empty() || options.only == name; };
  for (const WeightFormat* format : all_weight_formats()) {
    if (!wanted(format->name)) continue;
    LinearYardstick* const compared = format->name == kYardstickFormat ? yardstick : nullptr;
    for (LinearShape shape : shapes.linear) bench_linear(device, *format, shape, options.budget, compared, report);
  }
  for (const KvFormat* format : all_kv_formats()) {
    if (!wanted(format->name)) continue;
    for (const AttentionShape& shape : shapes.attention)
      bench_attention(device, *format, shape, options.budget, report);
  }
}

// Null: the device is no GPU, or known.why_not.
std::unique_ptr<Yardstick> find_yardstick(Device& device, ReportYardstick& known) {
  if (cuda_stream(device) == nullptr) return nullptr;
  const char* file = std::getenv("HALFTONE_CUBLASLT");
  std::unique_ptr<Yardstick> library = load_yardstick(file != nullptr ? file : "", &known.why_not);
  if (library != nullptr) known.name = library->name();
  return library;
}

int run(const Options& options) {
  Ledger ledger;
  const MadeDevice made = make_device(options.device, {options.cpu}, ledger);
  if (made.device == nullptr) {
    std::fprintf(stderr, "op_bench: %s\n", made.why.c_str());
    return 1;
  }
  Device* device = made.device.get();
  const ModelShapes& shapes = *find_model_shapes(options.shapes);
  int64_t most_cols = 0;
  for (const LinearShape& shape : shapes.linear) most_cols = std::max({most_cols, shape.rows, shape.cols});
  const AttentionShape& heads = shapes.attention.back();
  const Buffer workspace = device->allocate(device->workspace_bytes(128, most_cols, heads.heads, heads.head_dim),
                                            {"bench", MemoryCategory::kWorkspace});
  device->set_workspace(workspace.data(), workspace.bytes());
  const int threads = options.cpu.threads > 0 ? options.cpu.threads : cpu_threads();
  const std::string name = std::string(device->name()) + " " + std::string(device->kernel_name()) + ", " +
                           std::to_string(threads) + (threads == 1 ? " thread" : " threads");
  ReportYardstick known;
  const std::unique_ptr<Yardstick> library = find_yardstick(*device, known);
  std::optional<LinearYardstick> yardstick;
  if (library != nullptr) yardstick.emplace(*device, *library, cuda_stream(*device));
  Report report(device->measure_roofline(), known);
  report.print_head(name);
  bench_all(*device, shapes, options, yardstick ? &*yardstick : nullptr, report);
  if (!device->error().empty()) {
    std::fprintf(stderr, "op_bench: device %s: %s\n", options.device.c_str(), device->error().c_str());
    return 1;
  }
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
