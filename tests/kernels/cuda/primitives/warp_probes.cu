#include "kernels/cuda/primitives/numbers.h"
#include "kernels/cuda/primitives/warp.h"
#include "tests/kernels/cuda/primitives/probe_kernel.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr unsigned kThreads = 64;

// Each lane asks for its own partner. in: value, partner
HALFTONE_KERNEL void shuffles(uint32_t* out, const uint32_t* in) {
  const unsigned i = probe_thread();
  const uint32_t value = in[2 * i], partner = in[2 * i + 1];
  const auto integer = static_cast<int32_t>(value);
  const int any_lane = static_cast<int>(partner), delta = static_cast<int>(partner % 32);
  out[8 * i] = shuffle_xor(value, any_lane);
  out[8 * i + 1] = bits_from_f32(shuffle_xor(f32_from_bits(value), any_lane));
  out[8 * i + 2] = shuffle_down(value, delta);
  out[8 * i + 3] = static_cast<uint32_t>(shuffle_down(integer, delta));
  out[8 * i + 4] = shuffle_index(value, any_lane);
  out[8 * i + 5] = bits_from_f32(shuffle_index(f32_from_bits(value), any_lane));
  out[8 * i + 6] = static_cast<uint32_t>(shuffle_index(integer, static_cast<int>(in[i / 32])));  // all of one lane
  out[8 * i + 7] = static_cast<uint32_t>(lane_index());
}

// in: bits, in the second half few of them: any() and all() come out both ways.
HALFTONE_KERNEL void votes(uint32_t* out, const uint32_t* in) {
  const unsigned i = probe_thread();
  const uint32_t many = in[2 * i], few = in[2 * i + 1];
  out[2 * i] = ballot((many & 1) != 0) ^ ballot((many & 2) != 0) << 1;
  uint32_t answers = 0;
  for (unsigned bit = 0; bit < 16; ++bit) {
    const bool yes = (few >> bit & 1) != 0;
    answers |= static_cast<uint32_t>(any(yes)) << bit | static_cast<uint32_t>(all(!yes)) << (16 + bit);
  }
  out[2 * i + 1] = answers;
}

// Additions in one order: the same bits.
HALFTONE_KERNEL void reduce_f32(uint32_t* out, const uint32_t* in) {
  const float value = f32_from_bits(in[probe_thread()]);
  out[probe_thread()] = same_nan(bits_from_f32(reduce_sum(value)));
}

// NaNs and zeros of both signs make lanes differ, the same way here and there.
HALFTONE_KERNEL void reduce_max_f32(uint32_t* out, const uint32_t* in) {
  const float value = f32_from_bits(in[probe_thread()]);
  out[probe_thread()] = same_nan(bits_from_f32(reduce_max(value)));
}

HALFTONE_KERNEL void reduce_integers(uint32_t* out, const uint32_t* in) {
  const unsigned i = probe_thread();
  const auto integer = static_cast<int32_t>(in[i]);
  out[4 * i] = reduce_sum(in[i]);
  out[4 * i + 1] = reduce_max(in[i]);
  out[4 * i + 2] = static_cast<uint32_t>(reduce_sum(integer / 64));  // what does not overflow
  out[4 * i + 3] = static_cast<uint32_t>(reduce_max(integer));
}

}  // namespace

std::vector<ProbeKernel> warp_probes() {
  return {{"shuffles", shuffles, kThreads, 2, 8},
          {"votes", votes, kThreads, 2, 2},
          {"reduce_f32", reduce_f32, kThreads, 1, 1},
          {"reduce_max_f32", reduce_max_f32, kThreads, 1, 1},
          {"reduce_integers", reduce_integers, kThreads, 1, 4}};
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
