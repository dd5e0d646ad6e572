// The CPU behind addresses of its own: a device whose memory ends the host that touches it, that works when somebody
// waits, rounds rows up, replays what it recorded and holds weights in another layout. Whoever keeps to the contract
// gets the CPU's bits; tests only. Threads as Device says.
#pragma once

#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kernels/contract/device.h"
#include "kernels/cpu/cpu_device.h"

namespace halftone::test {

class RemoteDevice final : public Device {
 public:
  static constexpr int64_t kRowUnit = 8;      // begin() rounds up to whole ones
  static constexpr size_t kPieceHeader = 64;  // bytes of a matrix's codes before each 64 rows
  static constexpr float kNothing = std::numeric_limits<float>::quiet_NaN();  // in rows beyond the tokens

  RemoteDevice(const CpuOptions& options, Ledger& ledger);

  // From now on nothing is computed: results are void.
  void fail(std::string why) { error_ = std::move(why); }
  void refuse(std::string format, Activations activations) { refused_.emplace(std::move(format), activations); }
  int64_t replays() const { return replays_; }

  std::string_view name() const override { return "remote"; }
  std::string_view kernel_name() const override { return cpu_->kernel_name(); }
  DType activation_dtype() const override { return cpu_->activation_dtype(); }
  Ledger& ledger() override { return ledger_; }
  std::string error() override;

  Buffer allocate(size_t bytes, const MemoryTag& tag) override;
  void upload(std::byte* to, std::span<const std::byte> from) override;
  void download(std::span<std::byte> to, const std::byte* from) override;

  size_t workspace_bytes(int64_t max_tokens, int64_t max_cols, int64_t heads, int64_t head_dim) const override;
  void set_workspace(std::byte* data, size_t bytes) override;
  DeviceRoofline measure_roofline() override { return cpu_->measure_roofline(); }

  bool supports(const WeightFormat& format, Activations activations) const override;
  PackedBytes weight_bytes(const WeightFormat& format, const PackedShape& shape) const override;
  bool memory_is_hosts() const override { return false; }
  void pack_rows(const PackedMatrix& to, int64_t first_row, const WeightRows& rows) override;

  int64_t begin(const StepBatch& batch) override;
  void replayable(uint64_t key, const std::function<void()>& work) override;

  void embed(const EmbedCall& call) override;
  void linear(std::span<const LinearCall> calls) override;
  void norm(const NormCall& call) override;
  void route(const RouteCall& call) override;
  void experts(const ExpertsCall& call) override;
  int64_t take_experts_read() override;
  void rope_store(const RopeStoreCall& call) override;
  void attention(const AttentionCall& call) override;
  void gather_rows(const Tensor& from, std::span<const int64_t> rows, const Tensor& to) override;
  void reduce_logits(std::span<LogitReduction> rows) override;
  uint32_t rank(const float* logits, int64_t vocabulary, int32_t id) override;
  int64_t take_clamped() override;

 private:
  using Operation = std::function<void()>;
  // What stands behind a range of addresses.
  struct Range {
    size_t bytes = 0;
    Buffer memory;
  };
  // A matrix as the CPU multiplies with it.
  struct CpuMatrix {
    Buffer codes, scales;
    PackedMatrix matrix;
  };

  std::byte* behind(const void* address);
  template <typename T>
  T* behind(T* address) {
    return reinterpret_cast<T*>(behind(static_cast<const void*>(address)));
  }
  Tensor behind(Tensor tensor);
  KvTarget behind(KvTarget target);
  CpuMatrix new_cpu_matrix(const WeightFormat& format, const PackedShape& shape);
  Routing behind(Routing routing);
  CpuMatrix cpu_matrix(const PackedMatrix& matrix);
  const PackedMatrix* behind(const PackedMatrix* matrix);
  void enqueue(Operation operation);
  void wait();

  Ledger& ledger_;
  Ledger cpu_ledger_;
  std::unique_ptr<Device> cpu_;
  std::mutex mutex_;                                // of the two maps
  std::map<const std::byte*, Range> ranges_;        // by their first address
  std::map<const std::byte*, CpuMatrix> matrices_;  // by their codes
  std::vector<Operation> waiting_;
  std::vector<Operation>* recording_ = nullptr;
  std::map<uint64_t, std::vector<Operation>> recorded_;
  std::set<std::pair<std::string, Activations>> refused_;
  std::string error_;
  int64_t tokens_ = 0, rows_ = 0;  // of the step
  int64_t replays_ = 0;
};

}  // namespace halftone::test
