#include "kernels/cpu/cpu_device.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "kernels/contract/check.h"
#include "kernels/cpu/cpu_context.h"
#include "system/system.h"

namespace halftone {
namespace {

void unmap(void* data, size_t bytes) { munmap(data, bytes); }

// Makes it resident now, so that what the ledger says is what the process holds and no step waits for a page. False:
// there is not so much memory.
bool populate(std::byte* data, size_t bytes) {
  constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE, of Linux 5.14
  if (madvise(data, bytes, kPopulateWrite) == 0) return true;
  if (errno == ENOMEM || errno == EFAULT) return false;
  constexpr size_t kPage = 4096;
  for (size_t at = 0; at < bytes; at += kPage) *static_cast<volatile std::byte*>(data + at) = std::byte{0};
  return true;
}

template <CpuIsa kIsa>
const CpuLinearKernels* kernels_of(const WeightFormat& format) {
  return format.cpu != nullptr ? format.cpu->kernels[static_cast<int>(kIsa)] : nullptr;
}

template <CpuIsa kIsa>
CpuBody body_of(const CpuOps& ops) {
  return {cpu_isa_name(kIsa), ops, kernels_of<kIsa>};
}

CpuBody body_of(CpuIsa isa) {
  if (isa == CpuIsa::kAvx512Vnni) return body_of<CpuIsa::kAvx512Vnni>(kCpuOpsAvx512Vnni);
  if (isa == CpuIsa::kAvx2) return body_of<CpuIsa::kAvx2>(kCpuOpsAvx2);
  return body_of<CpuIsa::kEmulated>(kCpuOpsEmulated);
}

class CpuDevice final : public Device {
 public:
  CpuDevice(int threads, const CpuBody& body, Ledger& ledger)
      : ledger_(ledger), pool_(threads), context_{pool_, body} {}

  std::string_view name() const override { return "cpu"; }
  std::string_view kernel_name() const override { return context_.body.name; }
  DType activation_dtype() const override { return DType::kF32; }
  Ledger& ledger() override { return ledger_; }
  std::string error() override { return {}; }

  Buffer allocate(size_t bytes, const MemoryTag& tag) override {
    if (bytes == 0) return {};
    void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) return {};
    madvise(data, bytes, MADV_HUGEPAGE);  // a wish: where it is not granted, streams only cost more page walks
    if (!populate(static_cast<std::byte*>(data), bytes)) {
      munmap(data, bytes);
      return {};
    }
    return Buffer(data, bytes, unmap, &ledger_, tag);
  }

  void upload(std::byte* to, std::span<const std::byte> from) override { std::ranges::copy(from, to); }
  void download(std::span<std::byte> to, const std::byte* from) override { std::copy_n(from, to.size(), to.begin()); }

  size_t workspace_bytes(int64_t max_tokens, int64_t max_cols, int64_t heads, int64_t head_dim) const override {
    return std::max(cpu_linear_workspace(pool_.threads(), max_tokens, max_cols),
                    cpu_attention_workspace(pool_.threads(), heads, head_dim));
  }
  void set_workspace(std::byte* data, size_t bytes) override {
    context_.workspace = data;
    context_.workspace_bytes = bytes;
  }

  DeviceRoofline measure_roofline() override {
    const Buffer memory = allocate(size_t{128} << 20, {"shared", MemoryCategory::kWorkspace});
    return cpu_measure_roofline(context_, {memory.f32(), memory.bytes() / sizeof(float)});
  }

  bool supports(const WeightFormat& format, Activations activations) const override {
    const CpuLinearKernels* kernels = context_.body.kernels(format);
    if (kernels == nullptr) return false;
    return kernels->direct_a8 != nullptr || arithmetic_of(format, activations) == Arithmetic::kF32;
  }
  PackedBytes weight_bytes(const WeightFormat& format, const PackedShape& shape) const override {
    return format.bytes(shape);
  }
  void pack_rows(const PackedMatrix& to, int64_t first_row, const WeightRows& rows) override {
    to.format->pack_rows(to, first_row, rows);
  }
  bool memory_is_hosts() const override { return true; }

  int64_t begin(const StepBatch& batch) override {
    context_.batch = batch;
    return static_cast<int64_t>(batch.tokens.size());
  }
  void replayable(uint64_t, const std::function<void()>& work) override { work(); }

  void embed(const EmbedCall& call) override {
    for (size_t t = 0; t < context_.batch.tokens.size(); ++t) {
      float* y = call.y.f32(static_cast<int64_t>(t));
      call.weights->format->unpack_rows(*call.weights, context_.batch.tokens[t], 1, y);
      if (call.scale == 1) continue;
      for (int64_t c = 0; c < call.y.cols; ++c) y[c] = y[c] * call.scale;
    }
  }
  void linear(std::span<const LinearCall> calls) override { cpu_linear(context_, calls); }
  void norm(const NormCall& call) override {
    const auto row_norm = call.add_to_y ? context_.ops().add_rms_norm : context_.ops().rms_norm;
    pool_.run(call.x.rows, [&](int64_t row, int) {
      row_norm(call.x.f32(row), call.weight, call.epsilon, call.x.cols, call.y.f32(row));
    });
  }
  void route(const RouteCall& call) override { cpu_route(context_, call); }
  void experts(const ExpertsCall& call) override { experts_read_ += cpu_experts(context_, call); }
  void rope_store(const RopeStoreCall& call) override { clamped_ += cpu_rope_store(context_, call); }
  void attention(const AttentionCall& call) override { cpu_attention(context_, call); }
  void gather_rows(const Tensor& from, std::span<const int64_t> rows, const Tensor& to) override {
    HALFTONE_CHECK(rows.size() <= kGatherRows && from.cols == to.cols);
    for (size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(from.f32(rows[i]), from.cols, to.f32(static_cast<int64_t>(i)));
    }
  }
  void reduce_logits(std::span<LogitReduction> rows) override { cpu_reduce_logits(context_, rows); }
  uint32_t rank(const float* logits, int64_t vocabulary, int32_t id) override {
    return static_cast<uint32_t>(1 + context_.ops().count_greater(logits, vocabulary, logits[id]));
  }
  void on_host(int64_t items, const std::function<void(int64_t)>& work) override {
    pool_.run(items, [&](int64_t item, int) { work(item); });
  }
  int64_t take_experts_read() override { return std::exchange(experts_read_, 0); }
  int64_t take_clamped() override { return std::exchange(clamped_, 0); }

 private:
  Ledger& ledger_;
  ThreadPool pool_;
  CpuContext context_;
  int64_t clamped_ = 0;
  int64_t experts_read_ = 0;
};

}  // namespace

float* CpuContext::thread_scratch(int thread, int64_t floats) const {
  size_t begin = static_cast<size_t>(thread) * static_cast<size_t>(floats) * sizeof(float);
  size_t end = thread < pool.threads() ? begin + static_cast<size_t>(floats) * sizeof(float) : begin;
  HALFTONE_CHECK(end <= workspace_bytes);
  return reinterpret_cast<float*>(workspace + begin);
}

std::vector<CpuIsa> cpu_isas() {
  std::vector<CpuIsa> isas;
  // F16C is older than AVX2: no processor has the one without the other, and clang 14 has no word to ask for it.
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (avx2 && avx512 && __builtin_cpu_supports("avx512vnni")) isas.push_back(CpuIsa::kAvx512Vnni);
  if (avx2) isas.push_back(CpuIsa::kAvx2);
  isas.push_back(CpuIsa::kEmulated);
  return isas;
}

int cpu_threads() { return System().processors().usable; }

std::unique_ptr<Device> make_cpu_device(const CpuOptions& options, Ledger& ledger) {
  int threads = options.threads > 0 ? options.threads : cpu_threads();
  for (CpuIsa isa : cpu_isas()) {
    if (options.isa.empty() || options.isa == cpu_isa_name(isa)) return make_cpu_device(threads, body_of(isa), ledger);
  }
  return nullptr;
}

std::unique_ptr<Device> make_cpu_device(int threads, const CpuBody& body, Ledger& ledger) {
  return std::make_unique<CpuDevice>(threads, body, ledger);
}

}  // namespace halftone
