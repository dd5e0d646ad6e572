#include "kernels/cuda/experts.h"

#include <algorithm>

#include "kernels/contract/exp.h"
#include "kernels/cuda/gather.h"
#include "kernels/cuda/primitives/numbers.h"
#include "kernels/cuda/primitives/pdl.h"
#include "kernels/cuda/primitives/warp.h"

namespace halftone::HALFTONE_CUDA_NAMESPACE {
namespace {

constexpr int kLanes = 32;
constexpr int kThreads = 256;
constexpr int kNone = 0x7fffffff;

struct DeviceRoute {
  const float* scores;
  int64_t stride;
  int32_t experts, chosen;
  bool normalized;
  int32_t* to;
  float* weights;
  const int32_t* tokens;
};

HALFTONE_DEVICE float comparable(float score) { return score == score ? score : -HUGE_VALF; }

// The best expert of those that come after `last` in descending order; every lane has the result.
HALFTONE_DEVICE int next_best(const DeviceRoute& call, const float* scores, int last) {
  const float last_score = last < 0 ? HUGE_VALF : comparable(scores[last]);
  float best_score = -HUGE_VALF;
  int best = kNone;
  for (int e = static_cast<int>(threadIdx.x); e < call.experts; e += kLanes) {
    const float score = comparable(scores[e]);
    const bool is_left = score < last_score || (score == last_score && e > last);
    if (is_left && (best == kNone || score > best_score)) best = e, best_score = score;
  }
  const float most = reduce_max(best_score);
  return -reduce_max(best_score == most ? -best : -kNone);
}

// A warp for each row. Bound: latency; the row is read once for each choice.
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kLanes, 16) route_kernel(DeviceRoute call) {
  pdl_trigger();
  pdl_wait();
  const int64_t row = blockIdx.x;
  const float* scores = call.scores + row * call.stride;
  int32_t* to = call.to + row * call.chosen;
  float* weights = call.weights + row * call.chosen;
  const bool is_token = row < *call.tokens, writes = threadIdx.x == 0;
  float max = 0, sum = 0;
  int last = -1;
  for (int i = 0; i < call.chosen; ++i) {
    last = is_token ? next_best(call, scores, last) : -1;
    if (is_token && i == 0) max = scores[last];
    const float weight = is_token ? exp_ordered<ExpOps>(scores[last] - max) : 0.0f;
    sum = sum + weight;
    if (writes) to[i] = last, weights[i] = weight;
  }
  if (!call.normalized) {
    sum = 0;
    for (int e = static_cast<int>(threadIdx.x); is_token && e < call.experts; e += kLanes) {
      sum = sum + exp_ordered<ExpOps>(scores[e] - max);
    }
    sum = reduce_sum(sum);
  }
  if (!writes || !is_token) return;
  for (int i = 0; i < call.chosen; ++i) weights[i] = weights[i] / sum;
}

struct DeviceCombine {
  const float* results;
  int64_t results_stride;
  const int32_t* places;
  const float* weights;
  uint16_t* y;
  int64_t y_stride;
  int32_t cols, chosen;
};

// A thread for each output of a row. Bound: the results' bytes.
HALFTONE_KERNEL void HALFTONE_LAUNCH_BOUNDS(kThreads, 4) combine_kernel(DeviceCombine call) {
  pdl_trigger();
  pdl_wait();
  const int64_t row = blockIdx.y;
  const int c = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  const int32_t* places = call.places + row * call.chosen;
  if (c >= call.cols || places[0] < 0) return;
  float sum = 0;
  for (int i = 0; i < call.chosen; ++i) {
    sum = fma(call.weights[row * call.chosen + i], call.results[places[i] * call.results_stride + c], sum);
  }
  uint16_t* y = call.y + row * call.y_stride + c;
  *y = bf16_from_f32(f32_from_bf16(*y) + sum);
}

}  // namespace

cudaError_t route(const RouteCall& call, const int32_t* tokens, cudaStream_t stream) {
  const DeviceRoute device{call.scores.f32(),
                           call.scores.stride,
                           static_cast<int32_t>(call.scores.cols),
                           static_cast<int32_t>(call.to.chosen),
                           call.normalized,
                           call.to.experts,
                           call.to.weights,
                           tokens};
  const LaunchShape shape{dim3(static_cast<unsigned>(call.scores.rows)), dim3(kLanes), 0, stream, true};
  return launch(route_kernel, shape, device);
}

bool ExpertRunner::download_choice(const ExpertsCall& call) {
  const size_t slots = static_cast<size_t>(call.x.rows * call.routing.chosen);
  chosen_.reserve(slots);
  places_.reserve(slots);
  if (!stream_.ok()) return false;
  stream_.check(cudaMemcpyAsync(chosen_.host(), call.routing.experts, slots * sizeof(int32_t), cudaMemcpyDeviceToHost,
                                stream_.get()),
                "downloading the choice of experts");
  return stream_.synchronize();
}

void ExpertRunner::gather(const ExpertsCall& call, const ExpertGroups& groups) {
  const int64_t count = std::ssize(groups.slots);
  for (int64_t first = 0; first < count; first += kGatherRows) {
    GatheredRows rows;
    for (int64_t place = first; place < std::min(first + kGatherRows, count); ++place) {
      const int64_t slot = groups.slots[static_cast<size_t>(place)];
      rows.row[rows.count++] = static_cast<int32_t>(slot / call.routing.chosen);
    }
    const Tensor to = rows_of(call.inputs, first, rows.count);
    stream_.check(
        gather_rows(static_cast<const uint16_t*>(call.x.data), call.x.stride, rows, static_cast<int32_t>(call.x.cols),
                    static_cast<uint16_t*>(to.data), to.stride, stream_.get()),
        "gathering the experts' inputs");
  }
}

int64_t ExpertRunner::run(const ExpertsCall& call, const Workspace& workspace, int sm_count) {
  if (!download_choice(call)) return 0;
  const size_t slots = static_cast<size_t>(call.x.rows * call.routing.chosen);
  const ExpertGroups groups = group_by_expert({chosen_.host(), slots});
  places_.wait_for_upload();
  std::copy(groups.places.begin(), groups.places.end(), places_.host());
  places_.upload(slots);
  gather(call, groups);
  for (const ExpertGroups::Group& group : groups.groups) {
    const LinearCall gated = gated_product(call, group), down = down_product(call, group);
    linear({&gated, 1}, workspace, sm_count, stream_);
    linear({&down, 1}, workspace, sm_count, stream_);
  }
  const DeviceCombine combine{call.results.f32(),
                              call.results.stride,
                              places_.device(),
                              call.routing.weights,
                              static_cast<uint16_t*>(call.y.data),
                              call.y.stride,
                              static_cast<int32_t>(call.y.cols),
                              static_cast<int32_t>(call.routing.chosen)};
  const LaunchShape shape{
      dim3(static_cast<unsigned>((call.y.cols + kThreads - 1) / kThreads), static_cast<unsigned>(call.y.rows)),
      dim3(kThreads), 0, stream_.get(), true};
  stream_.check(launch(combine_kernel, shape, combine), "adding up experts");
  return std::ssize(groups.groups);
}

}  // namespace halftone::HALFTONE_CUDA_NAMESPACE
