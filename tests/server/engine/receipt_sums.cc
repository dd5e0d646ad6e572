#include "tests/server/engine/receipt_sums.h"

#include <gtest/gtest.h>

namespace halftone {

double sum(prometheus::Histogram* histogram) { return histogram->Collect().histogram.sample_sum; }
double count(prometheus::Histogram* histogram) {
  return static_cast<double>(histogram->Collect().histogram.sample_count);
}

void ReceiptSums::add(const Answer& answer) {
  const Receipt& receipt = *answer.all.receipt;
  of.cached_tokens += receipt.cached_tokens;
  of.preemptions += receipt.preemptions;
  of.queue_seconds += receipt.queue_seconds;
  of.prefill_seconds += receipt.prefill_seconds;
  of.decode_seconds += receipt.decode_seconds;
  of.tpot_seconds += receipt.tpot_seconds;
  of.device_seconds += receipt.device_seconds;
  of.flops += receipt.flops;
  of.bytes_moved += receipt.bytes_moved;
  ttft += receipt.ttft_seconds;
  tokens += receipt.generated_tokens;
  prompt_tokens += receipt.prompt_tokens;
  first_tokens += receipt.generated_tokens > 0;
  ++requests;
  EXPECT_EQ(receipt.generated_tokens, answer.all.tokens.size());
}

void expect_sums_of(ModeMetrics& mode, const ReceiptSums& sums) {
  EXPECT_EQ(mode.generated_tokens->Value(), sums.tokens);
  EXPECT_EQ(mode.prompt_tokens_cached->Value(), sums.of.cached_tokens);
  EXPECT_EQ(mode.prompt_tokens_computed->Value() + sums.of.cached_tokens, sums.prompt_tokens);
  EXPECT_EQ(mode.prefix_hit_tokens->Value(), sums.of.cached_tokens);
  EXPECT_EQ(mode.prefix_queried_tokens->Value(), sums.prompt_tokens);
  EXPECT_EQ(mode.preemptions->Value(), sums.of.preemptions);
  EXPECT_EQ(count(mode.request_queue), sums.requests);
  EXPECT_EQ(count(mode.time_to_first_token), sums.first_tokens);
  EXPECT_EQ(count(mode.inter_token_latency), sums.tokens - sums.first_tokens);
  EXPECT_EQ(sum(mode.request_generated_tokens), sums.tokens);
  EXPECT_EQ(sum(mode.request_prompt_tokens), sums.prompt_tokens);
  EXPECT_NEAR(sum(mode.request_queue), sums.of.queue_seconds, 1e-6);
  EXPECT_NEAR(sum(mode.time_to_first_token), sums.ttft, 1e-6);
  EXPECT_NEAR(sum(mode.request_prefill), sums.of.prefill_seconds, 1e-6);
  EXPECT_NEAR(sum(mode.request_decode), sums.of.decode_seconds, 1e-6);
  EXPECT_NEAR(sum(mode.time_per_output_token), sums.of.tpot_seconds, 1e-6);
  double device = 0, flops = 0, bytes = 0;
  for (int phase = 0; phase < 3; ++phase) {
    device += sum(mode.step[phase]);
    flops += mode.flops[phase]->Value();
    bytes += mode.moved_bytes[phase]->Value();
  }
  EXPECT_NEAR(device, sums.of.device_seconds, 1e-6);
  EXPECT_NEAR(flops, sums.of.flops, 1e-6 * flops);
  EXPECT_NEAR(bytes, sums.of.bytes_moved, 1e-6 * bytes);
}

}  // namespace halftone
