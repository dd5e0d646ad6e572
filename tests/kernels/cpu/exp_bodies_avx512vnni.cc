#include "kernels/contract/exp.h"
#include "kernels/cpu/simd/avx512vnni.h"
#include "tests/kernels/cpu/exp_bodies.h"

namespace halftone::test {
namespace {

void exps(const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += Avx512Vnni::kLanes)
    Avx512Vnni::store(y + i, exp_ordered<Avx512Vnni>(Avx512Vnni::load(x + i)));
}

void silus(const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += Avx512Vnni::kLanes)
    Avx512Vnni::store(y + i, silu_ordered<Avx512Vnni>(Avx512Vnni::load(x + i)));
}

void tanhs(const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += Avx512Vnni::kLanes)
    Avx512Vnni::store(y + i, tanh_ordered<Avx512Vnni>(Avx512Vnni::load(x + i)));
}

void gelus(const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += Avx512Vnni::kLanes)
    Avx512Vnni::store(y + i, gelu_tanh_ordered<Avx512Vnni>(Avx512Vnni::load(x + i)));
}

}  // namespace

ExpBodies exp_bodies_avx512vnni() { return {exps, silus, tanhs, gelus}; }

}  // namespace halftone::test
