// Two modes and a ledger as a server might have them.
#pragma once

#include <vector>

#include "server/metrics/metrics.h"

namespace halftone {

inline std::vector<ModeFacts> sample_modes() {
  ModeFacts bf16;
  bf16.id = "bf16";
  bf16.weights = "bf16";
  bf16.activations = "a16";
  bf16.kv = "kv16";
  bf16.import = "exact";
  bf16.source_format = "gguf BF16";
  bf16.kernel = "avx2";
  bf16.weights_digest = "beef";
  bf16.bits_per_weight = 16;
  ModeFacts w4;
  w4.id = "w4a16+kv8";
  w4.weights = "w4";
  w4.activations = "a16";
  w4.kv = "kv8";
  w4.import = "exact";
  w4.source_format = "gguf Q4_1";
  w4.kernel = "emulated";
  w4.weights_digest = "cafe";
  w4.bits_per_weight = 5.25;
  w4.own_bytes = 10'000'000;
  w4.shared_bytes = 80'000'000;
  w4.footprint_bytes = 3'000'000'000;
  w4.kv_bytes_per_token = 12240;
  w4.kv_capacity_tokens = 65536;
  w4.page_padding_bytes = 96;
  return {bf16, w4};
}

inline MemorySample sample_memory() {
  MemorySample sample;
  sample.entries.push_back({"cpu", "w4", "weights", 1000, {1000, 1001, 1002}});
  sample.entries.push_back({"cpu", "shared", "kv_cache", 2000, {2000, 2000, 2000}});
  sample.devices.push_back({"cpu", 1 << 30, 2995, 3000, -5});
  return sample;
}

inline Metrics sample_metrics() {
  Metrics metrics("SmolLM2-135M-Instruct", sample_modes());
  metrics.on_scrape(sample_memory);
  return metrics;
}

}  // namespace halftone
