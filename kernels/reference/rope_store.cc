#include <cmath>
#include <vector>

#include "kernels/contract/check.h"
#include "kernels/reference/operations.h"

namespace halftone::reference {
namespace {

// One head of one token, in place. x: [head_dim].
void norm_and_rotate(const RopeStoreCall& call, const float* norm, int64_t position, float* x) {
  const int64_t head_dim = call.kv.shape().head_dim, half = (call.rotated > 0 ? call.rotated : head_dim) / 2;
  if (norm != nullptr) rms_norm(f32_tensor(x, 1, head_dim), norm, call.rms_epsilon, f32_tensor(x, 1, head_dim));
  const float* cosines = call.cosines + position * half;
  const float* sines = call.sines + position * half;
  for (int64_t i = 0; i < half; ++i) {
    const float x0 = x[i], x1 = x[i + half];
    x[i] = std::fma(x0, cosines[i], -(x1 * sines[i]));
    x[i + half] = std::fma(x1, cosines[i], x0 * sines[i]);
  }
}

int64_t rope_store_token(const RopeStoreCall& call, int64_t token, int64_t position, int32_t page) {
  const KvLayer& layer = call.kv.shape();
  const int64_t head_dim = layer.head_dim;
  for (int64_t head = 0; head < call.heads; ++head) {
    norm_and_rotate(call, call.q_norm, position, call.q.f32(token) + head * head_dim);
  }
  int64_t clamped = 0;
  for (int64_t head = 0; head < layer.kv_heads; ++head) {
    const float* k = call.k.f32(token) + head * head_dim;
    const float* v = call.v.f32(token) + head * head_dim;
    std::vector<float> rotated(k, k + head_dim);
    norm_and_rotate(call, call.k_norm, position, rotated.data());
    clamped +=
        call.kv.layout->format->store(layer, call.kv.at(page), head, position % layer.page_tokens, rotated.data(), v);
  }
  return clamped;
}

}  // namespace

int64_t rope_store(const StepBatch& batch, const RopeStoreCall& call) {
  const int64_t page_tokens = call.kv.layout->page_tokens;
  int64_t clamped = 0;
  for (const AttentionSequence& sequence : batch.sequences) {
    for (int64_t i = 0; i < sequence.tokens; ++i) {
      const int64_t position = sequence.first_position + i;
      const size_t page = static_cast<size_t>(position / page_tokens);
      HALFTONE_CHECK(page < sequence.pages.size());
      clamped += rope_store_token(call, sequence.first_token + i, position, sequence.pages[page]);
    }
  }
  return clamped;
}

}  // namespace halftone::reference
