// Attention over pages of every KV format: a batch of decodes, and a chunk of a prompt.
#pragma once

#include "bench/report.h"
#include "bench/timing.h"
#include "kernels/contract/device.h"

namespace halftone::bench {

struct AttentionShape {
  int64_t heads, kv_heads, head_dim;
  int64_t sequences;
  int64_t tokens;   // new ones of each sequence
  int64_t context;  // positions that it has before them
};

void bench_attention(Device& device, const KvFormat& format, const AttentionShape& shape, const Budget& budget,
                     Report& report);

}  // namespace halftone::bench
