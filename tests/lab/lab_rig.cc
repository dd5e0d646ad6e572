#include "tests/lab/lab_rig.h"

#include "kernels/contract/check.h"
#include "kernels/cpu/cpu_device.h"
#include "tests/kernels/remote_device.h"
#include "tests/server/executor/executor_rig.h"
#include "tests/support/checkpoint_writer.h"

namespace halftone {
namespace {

std::unique_ptr<Device> make(int threads, bool remote, Ledger& ledger) {
  const CpuOptions cpu{.threads = threads, .isa = ""};
  return remote ? std::make_unique<test::RemoteDevice>(cpu, ledger) : make_cpu_device(cpu, ledger);
}

}  // namespace

LabRig::LabRig(const ModelSource& model, const std::string& list, int threads, bool remote)
    : source(model), device(make(threads, remote, ledger)), modes(*parse_modes(list)) {
  std::vector<Mode> loaded = modes;
  loaded.push_back(*parse_mode("f32"));
  weights = *Weights::load(source, loaded, *device, 1, {});
  for (size_t m = 0; m < loaded.size(); ++m) mode_weights.push_back(weights->mode(m));
}

TextWindows LabRig::text(int64_t windows, int64_t window_tokens, uint64_t seed) const {
  const std::vector<int32_t> ids = random_tokens(seed, windows * window_tokens, source.spec.vocabulary);
  return *cut_windows(ids, std::nullopt, {.window_tokens = window_tokens, .windows = windows});
}

EvaluationInput LabRig::input(const TextWindows& text) const {
  EvaluationInput input{source, *device, text, {"f32", &mode_weights.back(), "kv16"}};
  for (size_t m = 0; m < modes.size(); ++m) input.modes.push_back({modes[m].id, &mode_weights[m], modes[m].kv});
  return input;
}

Evaluation LabRig::run(const TextWindows& text,
                       std::function<void(size_t, int64_t, const LanePages&)> before_step) const {
  EvaluationInput wanted = input(text);
  wanted.before_step = std::move(before_step);
  absl::StatusOr<Evaluation> evaluation = evaluate(wanted);
  HALFTONE_CHECK(evaluation.ok());
  return *std::move(evaluation);
}

absl::StatusOr<Evaluation> LabRig::try_run(const TextWindows& text) const { return evaluate(input(text)); }

ModelSource tiny_gguf_source(const std::string& path, const std::string& body_type, TinyCheckpoint tiny) {
  tiny.body_type = body_type;
  tiny.embedding_type = "Q8_0";
  write_tiny_gguf(path, tiny);
  return open_source(path);
}

}  // namespace halftone
