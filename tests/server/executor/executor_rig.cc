#include "tests/server/executor/executor_rig.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>

#include "kernels/contract/check.h"
#include "tests/kernels/cuda/cuda_devices.h"
#include "tests/kernels/remote_device.h"

namespace halftone {
namespace {

std::vector<LogitRow> every_row(int64_t tokens, int64_t vocabulary) {
  std::vector<LogitRow> rows(static_cast<size_t>(tokens));
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i].token = static_cast<int64_t>(i);
    rows[i].target = 0;
    rows[i].top = static_cast<uint32_t>(vocabulary);
  }
  return rows;
}

}  // namespace

ExecutorRig::ExecutorRig(const ModelSource& source, const RigOptions& options) {
  const CpuOptions cpu{.threads = options.threads, .isa = options.isa};
  if (options.device == "remote") {
    own_ = std::make_unique<test::RemoteDevice>(cpu, ledger_);
  } else {
    test::TestDevice device{options.device, options.isa};
    for (const test::TestDevice& cuda : test::all_cuda_devices()) {
      if (cuda.name == options.device) device = cuda;
    }
    own_ = test::make_test_device(device, options.threads, ledger_);
  }
  device_ = own_.get();
  HALFTONE_CHECK(device_ != nullptr);
  load(source, options);
}

ExecutorRig::ExecutorRig(const ModelSource& source, const RigOptions& options, Device& device) : device_(&device) {
  load(source, options);
}

void ExecutorRig::load(const ModelSource& source, const RigOptions& options) {
  LocalExecutorOptions local{.max_context = options.max_context,
                             .kv_bytes = options.kv_bytes,
                             .max_step_tokens = options.max_step_tokens,
                             .logit_rows = options.logit_rows,
                             .threads = options.threads};
  for (const std::string& id : options.modes) {
    absl::StatusOr<Mode> mode = parse_mode(id);
    HALFTONE_CHECK(mode.ok());
    local.modes.push_back(*mode);
  }
  absl::StatusOr<std::unique_ptr<LocalExecutor>> executor = LocalExecutor::create(source, *device_, local);
  if (!executor.ok()) ADD_FAILURE() << executor.status();
  HALFTONE_CHECK(executor.ok());
  executor_ = *std::move(executor);
}

ModeIndex ExecutorRig::mode(const std::string& id) const {
  std::span<const ModeFacts> modes = executor_->modes();
  auto it = std::find_if(modes.begin(), modes.end(), [&](const ModeFacts& facts) { return facts.id == id; });
  HALFTONE_CHECK(it != modes.end());
  return static_cast<ModeIndex>(it - modes.begin());
}

std::vector<PageId> ExecutorRig::take_pages(ModeIndex mode, int64_t tokens) {
  const int64_t page_tokens = executor_->modes()[static_cast<size_t>(mode)].page_tokens;
  std::vector<PageId> pages(static_cast<size_t>((tokens + page_tokens - 1) / page_tokens));
  HALFTONE_CHECK(static_cast<int64_t>(pages.size()) <= executor_->pages());
  // Every second page, so that neighbours in a sequence are none in the arena.
  for (PageId& page : pages) {
    page = static_cast<PageId>(next_page_);
    next_page_ += 2;
    if (next_page_ >= executor_->pages()) next_page_ = next_page_ % 2 == 0 ? 1 : 0;
  }
  return pages;
}

StepOutput ExecutorRig::step(ModeIndex weights, ModeIndex kv, std::span<const Piece> pieces) {
  std::vector<std::vector<LogitRow>> whole(pieces.size());
  std::vector<StepSequence> sequences;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Piece& piece = pieces[i];
    std::span<const LogitRow> rows = piece.rows;
    if (rows.empty() && piece.wanted) {
      whole[i] = every_row(static_cast<int64_t>(piece.tokens.size()), executor_->vocabulary());
      rows = whole[i];
    }
    sequences.push_back({piece.tokens, piece.first_position, piece.pages, rows});
  }
  const StepInput input{weights, kv, sequences};
  HALFTONE_CHECK(executor_->submit(input).ok());
  absl::StatusOr<StepOutput> output = executor_->wait();
  HALFTONE_CHECK(output.ok());
  return *std::move(output);
}

std::vector<RowResult> ExecutorRig::run(ModeIndex mode, std::span<const int32_t> prompt, std::span<const PageId> pages,
                                        int64_t chunk, int64_t first) {
  std::vector<RowResult> rows;
  const int64_t all = static_cast<int64_t>(prompt.size());
  for (int64_t at = first; at < all; at += chunk) {
    const size_t count = static_cast<size_t>(std::min(chunk, all - at));
    const Piece piece{.tokens = prompt.subspan(static_cast<size_t>(at), count), .first_position = at, .pages = pages};
    StepOutput output = step(mode, {&piece, 1});
    for (RowResult& row : output.rows) rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<RowResult> ExecutorRig::run(ModeIndex mode, std::span<const int32_t> prompt, int64_t chunk) {
  const std::vector<PageId> pages = take_pages(mode, static_cast<int64_t>(prompt.size()));
  return run(mode, prompt, pages, chunk);
}

std::vector<RowResult> ExecutorRig::greedy_rows(ModeIndex mode, std::span<const int32_t> prompt, int64_t count) {
  SamplingParams sampling;
  sampling.temperature = 0;
  const int64_t length = static_cast<int64_t>(prompt.size());
  const std::vector<PageId> pages = take_pages(mode, length + count);
  std::vector<int32_t> tokens(prompt.begin(), prompt.end());
  std::vector<RowResult> output;
  int64_t first = 0;
  while (static_cast<int64_t>(output.size()) < count) {
    const int64_t left = static_cast<int64_t>(tokens.size()) - first;
    const int64_t chunk = std::min(left, executor_->max_step_tokens());
    LogitRow row;
    row.token = chunk - 1;
    row.sampling = &sampling;
    row.top = 1;
    Piece piece{.tokens = std::span<const int32_t>(tokens).subspan(static_cast<size_t>(first), chunk),
                .first_position = first,
                .pages = pages};
    piece.wanted = chunk == left;
    if (piece.wanted) piece.rows = {&row, 1};
    StepOutput step_output = step(mode, {&piece, 1});
    first += chunk;
    if (!piece.wanted) continue;
    tokens.push_back(step_output.rows[0].token);
    output.push_back(std::move(step_output.rows[0]));
  }
  return output;
}

std::vector<int32_t> ExecutorRig::greedy(ModeIndex mode, std::span<const int32_t> prompt, int64_t count) {
  std::vector<int32_t> tokens;
  for (const RowResult& row : greedy_rows(mode, prompt, count)) tokens.push_back(row.token);
  return tokens;
}

ModelSource open_source(const std::string& path) {
  absl::StatusOr<ModelSource> source = open_model(path);
  if (!source.ok()) ADD_FAILURE() << source.status();
  HALFTONE_CHECK(source.ok());
  return *std::move(source);
}

std::vector<int32_t> random_tokens(uint64_t seed, int64_t count, int64_t vocabulary) {
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  uint64_t state = seed * 2 + 1;
  for (int32_t& token : tokens) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    token = static_cast<int32_t>((state >> 33) % static_cast<uint64_t>(vocabulary));
  }
  return tokens;
}

void expect_same_rows(std::span<const RowResult> expected, std::span<const RowResult> actual, const std::string& what) {
  auto bits = [](float value) { return std::bit_cast<uint32_t>(value); };
  ASSERT_EQ(expected.size(), actual.size()) << what;
  for (size_t i = 0; i < expected.size(); ++i) {
    const RowResult &a = expected[i], &b = actual[i];
    ASSERT_TRUE(a.finite && b.finite) << what << ", row " << i;
    ASSERT_EQ(bits(a.logsumexp), bits(b.logsumexp)) << what << ", row " << i << ": " << a.logsumexp << b.logsumexp;
    ASSERT_EQ(a.top.size(), b.top.size()) << what << ", row " << i;
    for (size_t c = 0; c < a.top.size(); ++c) {
      const bool same = a.top[c].id == b.top[c].id && bits(a.top[c].logprob) == bits(b.top[c].logprob);
      ASSERT_TRUE(same) << what << ", row " << i << ", candidate " << c << ": " << a.top[c].id << " "
                        << a.top[c].logprob << " and " << b.top[c].id << " " << b.top[c].logprob;
    }
  }
}

std::vector<double> logits_of(const RowResult& row) {
  std::vector<double> logits(row.top.size());
  for (const Candidate& c : row.top) {
    logits[static_cast<size_t>(c.id)] = static_cast<double>(c.logprob) + static_cast<double>(row.logsumexp);
  }
  return logits;
}

}  // namespace halftone
