// A processor at run time: memory with names, and the operations of a decoder. One thread at a time (the engine's) but
// where a function says otherwise; operations happen in call order. Every operation is specified in plain loops by
// kernels/reference and classed in docs/NUMERICS.md.
//
// Memory of a device need not be the host's: pointers in calls, tensors and matrices are the device's, spans the
// host's, and only results that a function returns or writes into a span are there when it returns.
//
//   (begin embed (linear rope_store attention (linear norm? | linear route experts)+)* (gather_rows linear
//   reduce_logits rank*)* take_clamped error)*
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/contract/experts.h"
#include "kernels/contract/kv_format.h"
#include "kernels/contract/ledger.h"
#include "kernels/contract/linear.h"
#include "kernels/contract/tensor.h"

namespace halftone {

// Memory of a device; freed and taken off the ledger when it dies. Empty: there was no memory.
class Buffer {
 public:
  using Free = void (*)(void* data, size_t bytes);
  Buffer() = default;
  Buffer(void* data, size_t bytes, Free free, Ledger* ledger, MemoryTag tag);
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  explicit operator bool() const { return data_ != nullptr; }
  std::byte* data() const { return static_cast<std::byte*>(data_); }
  float* f32() const { return static_cast<float*>(data_); }  // the device's, as data() is: not for the host to read
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
  Free free_ = nullptr;
  Ledger* ledger_ = nullptr;
  MemoryTag tag_;
};

// The tokens of one sequence in a step, as attention sees them.
struct AttentionSequence {
  int64_t first_token = 0;  // row of q, k, v where its new tokens begin
  int64_t tokens = 0;
  int64_t first_position = 0;
  std::span<const int32_t> pages;  // covers positions [0, first_position + tokens)
};

// One step: tokens of any number of sequences, which together cover them in order.
struct StepBatch {
  std::span<const int32_t> tokens;
  std::span<const AttentionSequence> sequences;
  int64_t max_rows = 0;  // that the activations have room for; 0: as many as there are tokens
};

struct KvTarget {
  const KvLayout* layout = nullptr;
  std::byte* arena = nullptr;
  int64_t layer = 0;

  const KvLayer& shape() const { return layout->layers[static_cast<size_t>(layer)]; }
  // Where the layer begins in a page.
  std::byte* at(int64_t page) const { return arena + static_cast<size_t>(page) * layout->page_bytes + shape().offset; }
};

// RoPE in rotate-half order (dimension i with i + rotated / 2), QK norm before it where weights are given, then K and V
// into the pages.
struct RopeStoreCall {
  Tensor q, k, v;  // [rows, heads * head_dim], [rows, kv_heads * head_dim]; q is rotated in place
  int64_t heads = 0;
  const float* q_norm = nullptr;  // [head_dim]; null: none
  const float* k_norm = nullptr;
  float rms_epsilon = 0;
  const float* cosines = nullptr;  // [positions][rotated / 2]
  const float* sines = nullptr;
  int64_t rotated = 0;  // dimensions of a head, from its first one, that turn; even; 0: all
  KvTarget kv;
};

// Causal attention of new tokens to everything stored, their own keys included.
struct AttentionCall {
  Tensor q;  // [rows, heads * head_dim]
  Tensor y;  // the same shape
  int64_t heads = 0;
  float scale = 1;     // of the scores
  int64_t window = 0;  // a token sees itself and window - 1 before it; 0: everything
  KvTarget kv;
  float cap = 0;                 // scores become cap * tanh(score / cap); 0: they stay
  const float* sinks = nullptr;  // [heads]: one more score of each head, which has no value; null: none
};

// y = rms_norm(x) * weight, or y + that. y may be x.
struct NormCall {
  Tensor x;                       // [rows, cols]
  const float* weight = nullptr;  // [cols]
  float epsilon = 0;
  bool add_to_y = false;
  Tensor y;  // the same shape and type
};

struct EmbedCall {
  const PackedMatrix* weights = nullptr;  // [vocabulary, dim]
  Tensor y;                               // [rows, dim]
  float scale = 1;                        // of every value
};

// How the row's value at one id is changed: a penalty for repetition, then what is subtracted, then what is added.
struct LogitEdit {
  int32_t id = 0;
  float repetition = 1;
  float subtract = 0;
  float add = 0;  // -infinity: a mask

  // Float32 operations in this order, each rounded, on every device.
  constexpr float apply(float raw) const {
    float value = raw;
    if (repetition != 1) value = raw > 0 ? raw / repetition : raw * repetition;
    value = value - subtract;
    return value + add;
  }
};

struct LogitCandidate {
  int32_t id = 0;
  float logit = 0;  // of the row that it is a candidate of
  float raw = 0;    // before edits
};

// What is wanted of one row of logits, and what comes back.
struct LogitReduction {
  const float* logits = nullptr;  // [vocabulary], raw, the device's; not changed
  int64_t vocabulary = 0;
  std::span<const LogitEdit> edits;  // penalties, biases and masks; ascending id, each once
  float inverse_temperature = 1;     // for edited_logsumexp; 0: that is not wanted
  int64_t raw_best = 0;              // how many of the best raw candidates are wanted
  int64_t edited_best = 0;           // how many of the best candidates after the edits
  int32_t target = -1;               // its raw logit and rank; -1: none
  // Results.
  float logsumexp = 0;         // of the raw row
  float edited_logsumexp = 0;  // of inverse_temperature * edited row; only if edited_best > 0
  float target_logit = 0;
  uint32_t target_rank = 0;  // 1 + number of raw logits greater than the target's
  bool finite = true;
  std::vector<LogitCandidate> raw, edited;  // descending; equal ones by ascending id
};

// What some work has to move and compute at least.
struct Work {
  double bytes = 0;
  double operations[kArithmetics] = {};  // by Arithmetic; a multiply-add counts two

  double all_operations() const { return operations[0] + operations[1] + operations[2]; }
};

// What a device can do at best, measured on it.
struct DeviceRoofline {
  double bytes_per_second = 0;                      // reading memory far larger than the caches
  double operations_per_second[kArithmetics] = {};  // nothing but that on registers

  // The least time that the work can take; 0 where nothing was measured.
  double seconds(const Work& work) const;
};

// The memory that a device has of its own, in bytes; zeros where it works in the host's.
struct OwnMemory {
  uint64_t total = 0, free = 0;
  uint64_t used = 0;  // more than when the device was made
};

// At most this many rows are gathered at once.
constexpr int64_t kGatherRows = 64;

class Device {
 public:
  virtual ~Device() = default;

  virtual std::string_view name() const = 0;         // "cpu"
  virtual std::string_view kernel_name() const = 0;  // "avx2", "emulated"
  virtual std::string description() const { return "this machine's processors"; }
  virtual OwnMemory own_memory() { return {}; }
  virtual DType activation_dtype() const = 0;  // of every activation but logits, which are float32
  virtual Ledger& ledger() = 0;
  // What ended this device, or empty: once it is set every result is void.
  virtual std::string error() = 0;

  // Zeroed and resident (no page fault later), 64-byte aligned. An empty Buffer: there is no memory.
  virtual Buffer allocate(size_t bytes, const MemoryTag& tag) = 0;
  // Done when they return. Any thread may upload before the first step.
  virtual void upload(std::byte* to, std::span<const std::byte> from) = 0;
  virtual void download(std::span<std::byte> to, const std::byte* from) = 0;

  // Bytes that linear() and attention() need beside their arguments, for steps of at most max_tokens tokens.
  virtual size_t workspace_bytes(int64_t max_tokens, int64_t max_cols, int64_t heads, int64_t head_dim) const = 0;
  virtual void set_workspace(std::byte* data, size_t bytes) = 0;

  // Takes some tenths of a second and, meanwhile, 128 MiB of the host or up to 2 GiB of a GPU.
  virtual DeviceRoofline measure_roofline() = 0;

  virtual bool supports(const WeightFormat& format, Activations activations) const = 0;
  // What a matrix takes in this device's layout.
  virtual PackedBytes weight_bytes(const WeightFormat& format, const PackedShape& shape) const = 0;
  // Packs up to 64 rows in this device's layout, as rows first_row.. of a matrix, which starts zeroed. first_row is a
  // multiple of 64. Any thread, disjoint rows at once.
  virtual void pack_rows(const PackedMatrix& to, int64_t first_row, const WeightRows& rows) = 0;
  // Whether the host may read and write its memory directly, and matrices lie there in the formats' layout for the
  // host.
  virtual bool memory_is_hosts() const = 0;

  // What embed, rope_store and attention work on until the next one; the spans stay valid until then. Returns how many
  // rows the views of activations must have: at least the number of tokens (a device may round up to a size that it has
  // a graph for; rows beyond the tokens hold nothing of interest), at most max_rows.
  virtual int64_t begin(const StepBatch& batch) = 0;
  // Runs the work; a device may record its operations the first time and replay them when the key comes again: with the
  // same key the same operations with the same arguments, apart from what begin() brought.
  virtual void replayable(uint64_t key, const std::function<void()>& work) = 0;

  virtual void embed(const EmbedCall& call) = 0;
  // Independent products of one x (equal x and norm), as one parallel piece of work.
  virtual void linear(std::span<const LinearCall> calls) = 0;
  virtual void norm(const NormCall& call) = 0;
  virtual void route(const RouteCall& call) = 0;
  virtual void experts(const ExpertsCall& call) = 0;
  // Whether work that calls experts() may be replayable(). False: the device reads the choice in the midst of it.
  virtual bool replays_experts() const { return true; }
  virtual void rope_store(const RopeStoreCall& call) = 0;
  virtual void attention(const AttentionCall& call) = 0;
  // Row i of `to` becomes row rows[i] of `from`, for at most kGatherRows of them; equal columns and types.
  virtual void gather_rows(const Tensor& from, std::span<const int64_t> rows, const Tensor& to) = 0;
  virtual void reduce_logits(std::span<LogitReduction> rows) = 0;
  // 1 + number of raw logits greater than id's.
  virtual uint32_t rank(const float* logits, int64_t vocabulary, int32_t id) = 0;
  // work(0) to work(items - 1) on the host, in any order; at once where the device has threads of its own for it.
  virtual void on_host(int64_t items, const std::function<void(int64_t)>& work);
  // How many experts were read since the last call, each once for each experts() that some token chose it in; waits for
  // the device.
  virtual int64_t take_experts_read() = 0;
  // K and V values beyond the KV format's range and clamped since the last call; waits for the device.
  virtual int64_t take_clamped() = 0;
};

}  // namespace halftone
