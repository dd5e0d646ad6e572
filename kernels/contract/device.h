// A processor at run time: memory with names, and the operations of a decoder. One thread at a time (the engine's);
// operations happen in call order. Every operation is specified in plain loops by kernels/reference and classed in
// docs/NUMERICS.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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
  float* f32() const { return static_cast<float*>(data_); }
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

struct KvTarget {
  const KvLayout* layout = nullptr;
  std::byte* arena = nullptr;  // page p, layer l: arena + p * page_bytes + l * layer_bytes
  int64_t layer = 0;
};

// RoPE in rotate-half order, QK norm before it where weights are given, then K and V into the pages.
struct RopeStoreCall {
  Tensor q, k, v;  // [tokens, heads * head_dim], [tokens, kv_heads * head_dim]; q is rotated in place
  int64_t heads = 0;
  const float* q_norm = nullptr;  // [head_dim]; null: none
  const float* k_norm = nullptr;
  float rms_epsilon = 0;
  const float* cosines = nullptr;  // [positions][head_dim / 2]
  const float* sines = nullptr;
  std::span<const AttentionSequence> sequences;
  KvTarget kv;
};

// Causal attention of new tokens to everything stored, their own keys included.
struct AttentionCall {
  Tensor q;  // [tokens, heads * head_dim]
  Tensor y;  // the same shape
  int64_t heads = 0;
  float scale = 1;     // of the scores
  int64_t window = 0;  // a token sees itself and window - 1 before it; 0: everything
  std::span<const AttentionSequence> sequences;
  KvTarget kv;
};

struct EmbedCall {
  const PackedMatrix* weights = nullptr;  // [vocabulary, dim]
  std::span<const int32_t> tokens;
  Tensor y;  // [tokens, dim]
};

struct LogitEdit {
  int32_t id = 0;
  float value = 0;
};  // the row's value at id is replaced by this

struct LogitCandidate {
  int32_t id = 0;
  float logit = 0;
};

// What is wanted of one row of logits, and what comes back.
struct LogitReduction {
  const float* logits = nullptr;  // [vocabulary], raw; not changed
  int64_t vocabulary = 0;
  std::span<const LogitEdit> edits;  // penalties, biases and masks, already as final values; ascending id, each once
  float inverse_temperature = 1;     // for edited_logsumexp; 0: that is not wanted
  int64_t raw_best = 0;              // so many best raw candidates
  int64_t edited_best = 0;           // so many best candidates after the edits
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
struct DeviceFloor {
  double bytes_per_second = 0;                      // reading memory far larger than the caches
  double operations_per_second[kArithmetics] = {};  // nothing but that on registers

  // The least time that the work can take; 0 where nothing was measured.
  double seconds(const Work& work) const;
};

class Device {
 public:
  virtual ~Device() = default;

  virtual std::string_view name() const = 0;         // "cpu"
  virtual std::string_view kernel_name() const = 0;  // "avx2", "emulated"
  virtual Ledger& ledger() = 0;
  // Zeroed and resident (no page fault later), 64-byte aligned. An empty Buffer: there is no memory.
  virtual Buffer allocate(size_t bytes, const MemoryTag& tag) = 0;

  // Bytes that linear() and attention() need beside their arguments, for steps of at most so many tokens.
  virtual size_t workspace_bytes(int64_t max_tokens, int64_t max_cols, int64_t heads, int64_t head_dim) const = 0;
  virtual void set_workspace(std::byte* data, size_t bytes) = 0;

  // Takes some tenths of a second and, meanwhile, 128 MiB.
  virtual DeviceFloor measure_floor() = 0;

  virtual bool supports(const WeightFormat& format) const = 0;
  virtual void embed(const EmbedCall& call) = 0;
  // Independent products of one x (equal x and norm), as one parallel piece of work.
  virtual void linear(std::span<const LinearCall> calls) = 0;
  // Rotates and stores. Returns how many values were beyond the KV format's range and clamped.
  virtual int64_t rope_store(const RopeStoreCall& call) = 0;
  virtual void attention(const AttentionCall& call) = 0;
  virtual void reduce_logits(std::span<LogitReduction> rows) = 0;
};

}  // namespace halftone
