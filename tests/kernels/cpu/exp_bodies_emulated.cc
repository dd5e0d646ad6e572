#include "kernels/contract/exp.h"
#include "kernels/cpu/simd/emulated.h"
#include "tests/kernels/cpu/exp_bodies.h"

namespace halftone::test {
namespace {

void exps(const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += Emulated::kLanes)
    Emulated::store(y + i, exp_ordered<Emulated>(Emulated::load(x + i)));
}

void silus(const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += Emulated::kLanes)
    Emulated::store(y + i, silu_ordered<Emulated>(Emulated::load(x + i)));
}

void tanhs(const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += Emulated::kLanes)
    Emulated::store(y + i, tanh_ordered<Emulated>(Emulated::load(x + i)));
}

void gelus(const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += Emulated::kLanes)
    Emulated::store(y + i, gelu_tanh_ordered<Emulated>(Emulated::load(x + i)));
}

}  // namespace

ExpBodies exp_bodies_emulated() { return {exps, silus, tanhs, gelus}; }

}  // namespace halftone::test
