#include "kernels/cuda/backend.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/contract/check.h"
#include "kernels/cuda/batch_memory.h"
#include "kernels/cuda/experts.h"
#include "kernels/cuda/gather.h"
#include "kernels/cuda/graphs.h"
#include "kernels/cuda/kv.h"
#include "kernels/cuda/linear.h"
#include "kernels/cuda/logit_reducer.h"
#include "kernels/cuda/norm.h"
#include "kernels/cuda/prepare.h"
#include "kernels/cuda/roofline.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr int64_t kSharedSplits = 32;  // of a decode's attention that CTAs share, where there is memory
constexpr int64_t kSharedSplitTokens = 64;

void free_memory(void* data, size_t) { cudaFree(data); }

OwnMemory gpu_memory() {
  size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) return {};
  return {total, free, 0};
}

class Backend final : public Device {
 public:
  Backend(int index, std::string name, const cudaDeviceProp& gpu, Ledger& ledger)
      : index_(index),
        name_(std::move(name)),
        kernels_("sm_" + std::to_string(gpu.major) + std::to_string(gpu.minor)),
        description_(gpu.name),
        sm_count_(gpu.multiProcessorCount),
        ledger_(ledger),
        batch_(stream_, ledger),
        graphs_(stream_, ledger),
        reducer_(stream_, ledger),
        clamped_(stream_, ledger),
        experts_(stream_, ledger) {
    clamped_.reserve(1);
    clear_clamped();
  }
  ~Backend() override { stream_.synchronize(); }

  std::string_view name() const override { return name_; }
  std::string_view kernel_name() const override { return kernels_; }
  std::string description() const override { return description_; }
  OwnMemory own_memory() override {
    const OwnMemory now = gpu_memory();
    return {now.total, now.free, free_at_first_ > now.free ? free_at_first_ - now.free : 0};
  }
  DType activation_dtype() const override { return DType::kBF16; }
  Ledger& ledger() override { return ledger_; }
  std::string error() override { return stream_.error(); }
  cudaStream_t stream() const { return stream_.get(); }

  Buffer allocate(size_t bytes, const MemoryTag& tag) override {
    void* data = nullptr;
    if (bytes == 0 || cudaMalloc(&data, bytes) != cudaSuccess) {
      cudaGetLastError();  // no memory is an answer, not the end of the device
      return {};
    }
    stream_.check(cudaMemsetAsync(data, 0, bytes, stream_.get()), "clearing memory");
    stream_.synchronize();
    return Buffer(data, bytes, free_memory, &ledger_, tag);
  }
  void upload(std::byte* to, std::span<const std::byte> from) override {
    copy(to, from.data(), from.size(), cudaMemcpyHostToDevice);
  }
  void download(std::span<std::byte> to, const std::byte* from) override {
    copy(to.data(), from, to.size(), cudaMemcpyDeviceToHost);
  }

  size_t workspace_bytes(int64_t max_tokens, int64_t max_cols, int64_t heads, int64_t head_dim) const override {
    return std::max(linear_workspace(max_tokens, max_cols, sm_count_),
                    attention_partial_bytes(std::min(max_tokens, kSharedSplitTokens), heads, head_dim, kSharedSplits));
  }
  void set_workspace(std::byte* data, size_t bytes) override { workspace_ = {data, bytes}; }

  DeviceRoofline measure_roofline() override { return HALFTONE_CUDA_NAMESPACE::measure_roofline(sm_count_, stream_); }

  bool supports(const WeightFormat& format, Activations activations) const override {
    return find_cuda_format(format) != nullptr && (activations == Activations::kA16 || format.code_bits == 0);
  }
  PackedBytes weight_bytes(const WeightFormat& format, const PackedShape& shape) const override {
    const PackedBytes block = find_cuda_format(format)->block_bytes(shape);
    const size_t blocks = static_cast<size_t>(row_blocks(shape));
    return {blocks * block.codes, blocks * block.scales};
  }
  bool memory_is_hosts() const override { return false; }
  void pack_rows(const PackedMatrix& to, int64_t first_row, const WeightRows& rows) override {
    const CudaFormat& format = *find_cuda_format(*to.format);
    const PackedBytes bytes = format.block_bytes(to.shape);
    const size_t block = static_cast<size_t>(first_row / kBlockRows);
    std::vector<std::byte> codes(bytes.codes), scales(bytes.scales);
    format.pack_block(to.shape, rows, codes.data(), scales.data());
    upload(to.codes + block * bytes.codes, codes);
    if (bytes.scales > 0) upload(to.scales + block * bytes.scales, scales);
  }

  int64_t begin(const StepBatch& batch) override {
    rows_ = batch_.begin(batch);
    return rows_;
  }
  void replayable(uint64_t key, const std::function<void()>& work) override {
    graphs_.run({key, rows_, batch_.splits(), batch_.generation()}, work);
  }

  void embed(const EmbedCall& call) override {
    const CudaFormat& format = *find_cuda_format(*call.weights->format);
    const DeviceBatch batch = batch_.device();
    const DeviceEmbed embed{
        batch.ids, batch.tokens, static_cast<uint16_t*>(call.y.data), call.y.stride, static_cast<int32_t>(call.y.rows),
        call.scale};
    stream_.check(format.embed(device_matrix(*call.weights), embed, stream_.get()), "embedding");
  }
  void linear(std::span<const LinearCall> calls) override {
    HALFTONE_CUDA_NAMESPACE::linear(calls, workspace_, sm_count_, stream_);
  }
  void norm(const NormCall& call) override {
    stream_.check(HALFTONE_CUDA_NAMESPACE::norm(call, stream_.get()), "norm");
  }
  void route(const RouteCall& call) override {
    stream_.check(HALFTONE_CUDA_NAMESPACE::route(call, batch_.device().tokens, stream_.get()), "routing");
  }
  void experts(const ExpertsCall& call) override { experts_read_ += experts_.run(call, workspace_, sm_count_); }
  bool replays_experts() const override { return false; }
  void rope_store(const RopeStoreCall& call) override {
    DeviceRope rope;
    rope.q = static_cast<uint16_t*>(call.q.data);
    rope.k = static_cast<const uint16_t*>(call.k.data);
    rope.v = static_cast<const uint16_t*>(call.v.data);
    rope.q_stride = call.q.stride, rope.k_stride = call.k.stride, rope.v_stride = call.v.stride;
    rope.heads = static_cast<int32_t>(call.heads);
    rope.rows = static_cast<int32_t>(call.q.rows);
    rope.rotated = static_cast<int32_t>(call.rotated > 0 ? call.rotated : call.kv.shape().head_dim);
    rope.q_norm = call.q_norm, rope.k_norm = call.k_norm;
    rope.epsilon = call.rms_epsilon;
    rope.cosines = call.cosines, rope.sines = call.sines;
    rope.clamped = clamped_.device();
    const CudaKvFormat& format = *find_cuda_kv_format(*call.kv.layout->format);
    stream_.check(format.rope_store(rope, device_kv(call.kv), batch_.device(), stream_.get()), "RoPE and KV store");
  }
  void attention(const AttentionCall& call) override {
    DeviceAttention attention;
    attention.q = static_cast<const uint16_t*>(call.q.data);
    attention.y = static_cast<uint16_t*>(call.y.data);
    attention.q_stride = call.q.stride, attention.y_stride = call.y.stride;
    attention.heads = static_cast<int32_t>(call.heads);
    attention.rows = static_cast<int32_t>(call.q.rows);
    attention.scale = call.scale;
    attention.window = static_cast<int32_t>(call.window);
    attention.cap = call.cap;
    attention.sinks = call.sinks;
    attention.splits = batch_.splits();
    attention.sm_count = sm_count_;
    const size_t wanted = attention_partial_bytes(call.q.rows, call.heads, call.kv.shape().head_dim, attention.splits);
    const bool shared = attention.splits > 1 && wanted <= workspace_.bytes;
    if (shared) attention.partials = reinterpret_cast<float*>(workspace_.data);
    const CudaKvFormat& format = *find_cuda_kv_format(*call.kv.layout->format);
    stream_.check(format.attention(attention, device_kv(call.kv), batch_.device(), stream_.get()), "attention");
  }
  void gather_rows(const Tensor& from, std::span<const int64_t> rows, const Tensor& to) override {
    HALFTONE_CHECK(std::ssize(rows) <= kGatherRows);
    GatheredRows gathered;
    for (int64_t row : rows) gathered.row[gathered.count++] = static_cast<int32_t>(row);
    if (gathered.count == 0) return;
    stream_.check(HALFTONE_CUDA_NAMESPACE::gather_rows(static_cast<const uint16_t*>(from.data), from.stride, gathered,
                                                       static_cast<int32_t>(from.cols), static_cast<uint16_t*>(to.data),
                                                       to.stride, stream_.get()),
                  "gathering rows");
  }
  void reduce_logits(std::span<LogitReduction> rows) override {
    if (!rows.empty()) reducer_.reduce(rows);
  }
  uint32_t rank(const float* logits, int64_t vocabulary, int32_t id) override {
    return reducer_.rank(logits, vocabulary, id);
  }
  int64_t take_experts_read() override { return std::exchange(experts_read_, 0); }
  int64_t take_clamped() override {
    if (!stream_.ok()) return 0;
    clamped_.download(1);
    if (!stream_.synchronize()) return 0;
    const int64_t count = clamped_.host()[0];
    if (count > 0) clear_clamped();
    return count;
  }

 private:
  void clear_clamped() {
    if (!stream_.ok()) return;
    stream_.check(cudaMemsetAsync(clamped_.device(), 0, sizeof(int32_t), stream_.get()), "clearing a counter");
  }
  void copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    std::lock_guard lock(copies_);  // several threads load weights
    cudaSetDevice(index_);
    stream_.check(cudaMemcpyAsync(to, from, bytes, kind, stream_.get()), "copying");
    stream_.synchronize();
  }
  DeviceKv device_kv(const KvTarget& target) const {
    const KvLayer& layer = target.shape();
    DeviceKv kv;
    kv.layer = target.at(0);
    kv.page_bytes = target.layout->page_bytes;
    kv.head_bytes = static_cast<uint32_t>(layer.head_bytes);
    kv.scales_offset = static_cast<uint32_t>(layer.scales_offset);
    kv.page_tokens = static_cast<int32_t>(layer.page_tokens);
    kv.page_shift = std::countr_zero(static_cast<uint32_t>(layer.page_tokens));
    kv.kv_heads = static_cast<int32_t>(layer.kv_heads);
    kv.head_dim = static_cast<int32_t>(layer.head_dim);
    return kv;
  }

  const int index_;
  const std::string name_, kernels_, description_;
  const int sm_count_;
  Ledger& ledger_;
  Stream stream_;
  BatchMemory batch_;
  Graphs graphs_;
  LogitReducer reducer_;
  Staging<int32_t> clamped_;
  ExpertRunner experts_;
  int64_t experts_read_ = 0;
  Workspace workspace_;
  int64_t rows_ = 0;
  std::mutex copies_;
  const uint64_t free_at_first_ = gpu_memory().free;
};

// The runtime says the same of a driver that is missing and of one that is old.
std::string why_no_gpu(cudaError_t error, int count) {
  switch (error) {
    case cudaSuccess:
      return "this machine has " + std::to_string(count) + (count == 1 ? " GPU" : " GPUs");
    case cudaErrorInsufficientDriver:
      return "this machine has no NVIDIA driver, or one that is too old for the CUDA runtime of this build";
    case cudaErrorNoDevice:
      return "this machine has an NVIDIA driver but no GPU";
    default:
      return cudaGetErrorString(error);
  }
}

}  // namespace

std::unique_ptr<Device> make_backend(int index, std::string name, Ledger& ledger, std::string* why) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || index >= count) {
    *why = why_no_gpu(error, count);
    cudaGetLastError();
    return nullptr;
  }
  cudaDeviceProp gpu = {};
  cudaSetDevice(index);
  cudaGetDeviceProperties(&gpu, index);
  auto device = std::make_unique<Backend>(index, std::move(name), gpu, ledger);
  *why = device->error();
  if (!why->empty()) return nullptr;
  return device;
}

cudaStream_t backend_stream(Device& device) {
  const auto* backend = dynamic_cast<Backend*>(&device);
  return backend != nullptr ? backend->stream() : nullptr;
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
