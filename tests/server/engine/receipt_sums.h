// Receipts added up, to be held against the metrics: they are of the same counters. For the tests of this folder.
#pragma once

#include <prometheus/histogram.h>

#include "server/metrics/metrics.h"
#include "tests/server/engine/engine_rig.h"

namespace halftone {

// Of all requests of one mode; each was answered whole.
struct ReceiptSums {
  Receipt of;
  double requests = 0, first_tokens = 0, tokens = 0, prompt_tokens = 0, ttft = 0;

  void add(const Answer& answer);
};

// The mode has counted these requests and no others.
void expect_sums_of(ModeMetrics& mode, const ReceiptSums& sums);

double sum(prometheus::Histogram* histogram);
double count(prometheus::Histogram* histogram);

}  // namespace halftone
