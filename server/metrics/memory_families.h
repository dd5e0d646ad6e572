// Turns one sample of the ledger into families of gauges. They are made anew at each scrape, so an owner that is gone
// leaves no series behind. Any thread.
#pragma once

#include <prometheus/metric_family.h>

#include <string>
#include <vector>

#include "server/metrics/metrics.h"

namespace halftone {

// Bytes; every series carries the label model.
std::vector<prometheus::MetricFamily> memory_families(const std::string& model, const MemorySample& sample);

}  // namespace halftone
