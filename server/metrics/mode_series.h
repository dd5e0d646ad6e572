// Makes the series of one mode, all at zero, so that rates exist from the first scrape. Called while Metrics is built.
#pragma once

#include <prometheus/registry.h>

#include <string>

#include "server/metrics/metrics.h"

namespace halftone {

// Where series are made: every family carries the label model.
struct SeriesPlace {
  prometheus::Registry& registry;
  std::string model;
};

// One series of the family `name`; the family is made when its first series is. Borrowed from the registry.
prometheus::Counter* counter(const SeriesPlace& place, const char* name, const char* help,
                             const prometheus::Labels& labels);
prometheus::Gauge* gauge(const SeriesPlace& place, const char* name, const char* help,
                         const prometheus::Labels& labels);

ModeMetrics make_mode_series(const SeriesPlace& place, const std::string& mode);

// Facts that never change: sizes, bits per weight, llm_mode_info.
void publish_facts(const SeriesPlace& place, const ModeFacts& facts);

}  // namespace halftone
