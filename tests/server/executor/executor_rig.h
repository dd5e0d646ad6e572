// One model behind a LocalExecutor and the shortest ways to ask it. Tests only; one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/contract/device.h"
#include "server/executor/local_executor.h"

namespace halftone {

struct RigOptions {
  std::vector<std::string> modes = {"f32"};
  std::string isa = {};  // "": the best here
  int threads = 1;
  int64_t max_context = 0;
  uint64_t kv_bytes = 1 << 20;
  int64_t max_step_tokens = 128;
  int64_t logit_rows = 16;
  std::string device = "cpu";  // or "remote" (a RemoteDevice), "cuda:host", "cuda:0"
};

// New tokens of one sequence. Without rows of their own, the row of every token is wanted whole.
struct Piece {
  std::span<const int32_t> tokens;
  int64_t first_position = 0;
  std::span<const PageId> pages = {};
  std::span<const LogitRow> rows = {};
  bool wanted = true;  // false: no rows at all
};

class ExecutorRig {
 public:
  // A model that cannot be loaded ends the test, as does a device that is not here.
  ExecutorRig(const ModelSource& source, const RigOptions& options);
  // On a device of the caller's, which outlives the rig; its options are not looked at.
  ExecutorRig(const ModelSource& source, const RigOptions& options, Device& device);

  LocalExecutor& executor() { return *executor_; }
  Device& device() { return *device_; }
  Ledger& ledger() { return device_->ledger(); }
  ModeIndex mode(const std::string& id) const;

  // Pages for so many tokens, those that were taken longest ago first: their old content is of no importance.
  std::vector<PageId> take_pages(ModeIndex mode, int64_t tokens);
  StepOutput step(ModeIndex mode, std::span<const Piece> pieces) { return step(mode, mode, pieces); }
  StepOutput step(ModeIndex weights, ModeIndex kv, std::span<const Piece> pieces);
  // All rows of a prompt, whole, computed in chunks of at most `chunk` tokens from position `first` on.
  std::vector<RowResult> run(ModeIndex mode, std::span<const int32_t> prompt, std::span<const PageId> pages,
                             int64_t chunk, int64_t first = 0);
  std::vector<RowResult> run(ModeIndex mode, std::span<const int32_t> prompt, int64_t chunk);
  // So many greedy tokens after the prompt, and the rows that they were chosen from, each with its best candidate.
  std::vector<RowResult> greedy_rows(ModeIndex mode, std::span<const int32_t> prompt, int64_t count);
  std::vector<int32_t> greedy(ModeIndex mode, std::span<const int32_t> prompt, int64_t count);

 private:
  void load(const ModelSource& source, const RigOptions& options);

  Ledger ledger_;
  std::unique_ptr<Device> own_;
  Device* device_;
  std::unique_ptr<LocalExecutor> executor_;
  int64_t next_page_ = 0;
};

ModelSource open_source(const std::string& path);  // a model that cannot be opened ends the test

// Seeded token ids in [0, vocabulary).
std::vector<int32_t> random_tokens(uint64_t seed, int64_t count, int64_t vocabulary);

// Ids, log-probabilities and sums, bit for bit.
void expect_same_rows(std::span<const RowResult> expected, std::span<const RowResult> actual, const std::string& what);

// Raw logits by id, from a row that came back whole.
std::vector<double> logits_of(const RowResult& row);

}  // namespace halftone
