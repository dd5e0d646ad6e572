// One product with a packed matrix, with what a kernel may fuse before and after it.
#pragma once

#include "kernels/contract/tensor.h"
#include "kernels/contract/weight_format.h"

namespace halftone {

// How x meets the codes of a matrix. a8 and a8t round x to int8 first, so they mean something only for formats that
// hold integer codes; the others multiply as in a16 whatever the call says.
enum class Activations : uint8_t {
  kA16,      // float32 on the CPU, bf16 on CUDA
  kA8,       // a scale per token and group of inputs: the weights' groups, kA8Group where a scale serves a whole row
  kA8Token,  // "a8t": a scale per token
};
constexpr int64_t kA8Group = 64;
constexpr float kA8Least = 0x1p-100f;  // a segment whose largest magnitude is below this quantizes to 0

// What the multiply-adds of a product are made of.
enum class Arithmetic : uint8_t { kF32, kS8, kU4 };  // floats; int8 with int8; 4-bit codes with int8
constexpr int kArithmetics = 3;

inline Arithmetic arithmetic_of(const WeightFormat& format, Activations activations) {
  if (format.code_bits == 0 || activations == Activations::kA16) return Arithmetic::kF32;
  return format.code_bits == 4 ? Arithmetic::kU4 : Arithmetic::kS8;
}

// Inputs that are added up as integers before a float sees them, under a8 and a8t.
constexpr int64_t a8_segment(const PackedShape& shape, Activations activations) {
  if (shape.group > 0 && shape.group < shape.cols) return shape.group;
  return activations == Activations::kA8Token ? shape.cols : (shape.cols < kA8Group ? shape.cols : kA8Group);
}

enum class GateKind : uint8_t { kSilu, kGeluTanh };

// A second product of the same x, whose activation multiplies the first one: SwiGLU and its kin.
struct LinearGate {
  const PackedMatrix* matrix = nullptr;  // of the shape of the call's weights; null: there is no gate
  GateKind kind = GateKind::kSilu;
  Tensor addend = {};  // [tokens, rows] of y's type: added to the gate's product before its activation; no data: none
};

// What follows a product, in this order: y = weights x; + bias; * act(gate x + addend); cap * tanh(y / cap); + y.
struct Epilogue {
  const float* bias = nullptr;  // [rows]
  LinearGate gate = {};
  bool add_to_y = false;  // y = y + result: the residual stream
  float cap = 0;          // "soft cap" of the result; 0: none
};

struct LinearCall {
  const PackedMatrix* weights = nullptr;
  Activations activations = Activations::kA16;
  Tensor x;                           // [tokens, cols]
  const float* rms_weight = nullptr;  // [cols]: x is RMS-normalized first; null: taken as it is
  float rms_epsilon = 0;
  Epilogue epilogue = {};
  Tensor y;  // [tokens, rows], of x's type, or float32 (logits)
};

}  // namespace halftone
