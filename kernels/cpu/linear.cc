#include "kernels/cpu/linear.h"

#include <algorithm>

#include "kernels/contract/check.h"
#include "kernels/cpu/cpu_context.h"
#include "kernels/cpu/linear_inputs.h"

namespace halftone {
namespace {

constexpr int64_t kMaxPanels = 4;            // of one item: they stay in the second-level cache together
constexpr int64_t kPanelFloats = 64 * 1024;  // of panels; where they would be more, an item takes fewer blocks

int64_t blocks_of(const PackedMatrix& m) { return (m.shape.rows + kRowBlock - 1) / kRowBlock; }

// How one call's outputs are cut: an item is some neighbouring blocks for all tokens, a run is some neighbouring items
// for one thread: the codes of few tokens are one stream from memory that should not start anew too often.
struct Cut {
  int64_t blocks = 0;     // in an item
  int64_t items = 0;      // in the call
  int64_t run = 1;        // items in a run
  int64_t first_run = 0;  // of all calls' runs

  int64_t runs() const { return (items + run - 1) / run; }
};

Cut cut(const LinearCall& call, int64_t first_run, int threads) {
  int64_t matrices = call.epilogue.gate.matrix != nullptr ? 2 : 1, blocks = 2;
  if (call.x.rows > kDirectTokens) {  // panels, or codes that are read again for each tile
    int64_t fits = kPanelFloats / (call.x.cols * kRowBlock * matrices);
    blocks = std::clamp<int64_t>(fits, 1, kMaxPanels / matrices);
  }
  Cut made{.blocks = blocks, .items = (blocks_of(*call.weights) + blocks - 1) / blocks, .first_run = first_run};
  // Some runs for each thread, so that none waits long for the last one.
  if (call.x.rows <= kDirectTokens) made.run = std::clamp<int64_t>(made.items / (4 * threads), 1, 32);
  return made;
}

// One item of one call. Tokens go through in tiles; a tile's outputs meet the epilogue while they are in the
// first-level cache.
class Item {
 public:
  Item(const CpuContext& context, const LinearCall& call, const LinearInputs& inputs, int64_t first_block,
       int64_t blocks, float* scratch)
      : context_(context),
        call_(call),
        inputs_(inputs),
        first_(first_block),
        blocks_(blocks),
        width_(blocks * kRowBlock),
        out_(scratch),
        gates_(out_ + kDirectTokens * kMaxPanels * kRowBlock),
        panels_(gates_ + kDirectTokens * kMaxPanels * kRowBlock) {}

  void run() {
    const PackedMatrix* gate = call_.epilogue.gate.matrix;
    const Factor first = factor(*call_.weights, panels_);
    const Factor second = gate != nullptr ? factor(*gate, panels_ + blocks_ * panel_floats()) : Factor{};
    // Tiles of nearly equal size: a tile of one or two tokens takes as long as one of four.
    int64_t rows = call_.x.rows, most = first.segment > 0 || second.segment > 0 ? kA8Tokens : kDirectTokens;
    int64_t tiles = (rows + most - 1) / most, step = (rows + tiles - 1) / tiles;
    for (int64_t t = 0; t < rows; t += step) {
      int64_t tokens = std::min(step, rows - t);
      multiply(first, t, tokens, out_);
      if (gate != nullptr) multiply(second, t, tokens, gates_);
      finish(t, tokens);
    }
  }

 private:
  // A matrix, and how it is multiplied: by integers, from a panel of floats, or straight from its codes.
  struct Factor {
    const PackedMatrix* matrix = nullptr;
    int64_t segment = 0;
    const float* panels = nullptr;
  };

  int64_t panel_floats() const { return call_.x.cols * kRowBlock; }

  Factor factor(const PackedMatrix& m, float* panels) const {
    Factor made{&m, integer_segment(m, call_.activations), nullptr};
    if (made.segment > 0 || call_.x.rows <= kDirectTokens) return made;
    const CpuLinearKernels& kernels = context_.kernels(*m.format);
    for (int64_t b = 0; b < blocks_; ++b) kernels.unpack_panel(m, first_ + b, panels + b * panel_floats());
    made.panels = panels;
    return made;
  }

  void multiply(const Factor& factor, int64_t first, int64_t tokens, float* out) const {
    const CpuLinearKernels& kernels = context_.kernels(*factor.matrix->format);
    if (factor.segment > 0) {
      const QuantizedRows x = inputs_.quantized(factor.segment).from(first);
      kernels.direct_a8(*factor.matrix, first_, blocks_, x, tokens, out, width_);
      return;
    }
    const Tensor& x = inputs_.floats();
    if (factor.panels == nullptr) {
      kernels.direct(*factor.matrix, first_, blocks_, x.f32(first), x.stride, tokens, out, width_);
      return;
    }
    for (int64_t b = 0; b < blocks_; ++b) {
      context_.ops().multiply_panel(factor.panels + b * panel_floats(), x.cols, x.f32(first), x.stride, tokens,
                                    out + b * kRowBlock, width_);
    }
  }

  void finish(int64_t first, int64_t tokens) const {
    const Epilogue& epilogue = call_.epilogue;
    int64_t begin = first_ * kRowBlock, count = std::min(width_, call_.weights->shape.rows - begin);
    for (int64_t t = 0; t < tokens; ++t) {
      float* from = out_ + t * width_;
      float* y = call_.y.f32(first + t) + begin;
      if (epilogue.bias != nullptr) add(epilogue.bias + begin, count, from);
      if (epilogue.gate.matrix != nullptr) {
        float* gates = gates_ + t * width_;
        const Tensor& addend = epilogue.gate.addend;
        if (addend.data != nullptr) add(addend.f32(first + t) + begin, count, gates);
        context_.ops().gate(epilogue.gate.kind, gates, count, from);
      }
      if (epilogue.cap != 0) context_.ops().cap(epilogue.cap, count, from);
      if (epilogue.add_to_y) {
        add(from, count, y);
      } else {
        std::copy_n(from, count, y);
      }
    }
  }

  static void add(const float* what, int64_t count, float* to) {
    for (int64_t i = 0; i < count; ++i) to[i] += what[i];
  }

  const CpuContext& context_;
  const LinearCall& call_;
  const LinearInputs& inputs_;
  int64_t first_, blocks_, width_;
  float* out_;    // [tokens][width]
  float* gates_;  // the same of the gate
  float* panels_;
};

int64_t item_scratch_floats(int64_t cols) {
  return 2 * kDirectTokens * kMaxPanels * kRowBlock + std::max(kPanelFloats, 2 * cols * kRowBlock);
}

}  // namespace

const char* cpu_isa_name(CpuIsa isa) {
  constexpr const char* kNames[kCpuIsas] = {"avx512vnni", "avx2", "emulated"};
  return kNames[static_cast<int>(isa)];
}

size_t cpu_linear_workspace(int threads, int64_t max_tokens, int64_t max_cols) {
  return static_cast<size_t>(threads * item_scratch_floats(max_cols)) * sizeof(float) +
         linear_inputs_bytes(max_tokens, max_cols);
}

void cpu_linear(const CpuContext& context, std::span<const LinearCall> calls) {
  HALFTONE_CHECK(!calls.empty() && calls.size() <= 3);
  Cut cuts[3];
  int64_t runs = 0;
  for (size_t i = 0; i < calls.size(); ++i) {
    HALFTONE_CHECK(calls[i].x.data == calls[0].x.data && calls[i].rms_weight == calls[0].rms_weight);
    HALFTONE_CHECK(calls[i].activations == calls[0].activations);
    HALFTONE_CHECK(calls[i].x.cols == calls[i].weights->shape.cols && calls[i].y.cols == calls[i].weights->shape.rows);
    cuts[i] = cut(calls[i], runs, context.pool.threads());
    runs += cuts[i].runs();
  }
  if (calls[0].x.rows == 0) return;
  int64_t scratch_floats = item_scratch_floats(calls[0].x.cols);
  const LinearInputs inputs(context, calls, scratch_floats);
  context.pool.run(runs, [&](int64_t run, int thread) {
    size_t i = calls.size() - 1;
    while (run < cuts[i].first_run) --i;
    const Cut& cut = cuts[i];
    float* scratch = context.thread_scratch(thread, scratch_floats);
    int64_t first = (run - cut.first_run) * cut.run, end = std::min(first + cut.run, cut.items);
    for (int64_t item = first; item < end; ++item) {
      int64_t block = item * cut.blocks, blocks = std::min(cut.blocks, blocks_of(*calls[i].weights) - block);
      Item(context, calls[i], inputs, block, blocks, scratch).run();
    }
  });
}

}  // namespace halftone
