#include "server/metrics/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "server/metrics/buckets.h"
#include "server/metrics/labels.h"
#include "server/metrics/memory_families.h"
#include "server/metrics/mode_series.h"

namespace halftone {
namespace {

using prometheus::Labels;

constexpr const char* kPagesHelp = "Pages of the arena, of all modes: free, in use, or held by the prefix cache only.";

Labels request_labels(const std::string& mode, std::string_view code, std::string_view finish_reason) {
  return {{"mode", mode}, {"code", std::string(code)}, {"finish_reason", std::string(finish_reason)}};
}

Labels rejection_labels(const std::string& mode, std::string_view reason) {
  return {{"mode", mode}, {"reason", std::string(reason)}};
}

Labels duration_labels(const std::string& mode, std::string_view code) {
  return {{"mode", mode}, {"code", std::string(code)}};
}

// For people who read the page: prometheus-cpp keeps series in a hash table.
void sort_for_reading(std::vector<prometheus::MetricFamily>& families) {
  std::sort(families.begin(), families.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (prometheus::MetricFamily& family : families) {
    std::sort(family.metric.begin(), family.metric.end(),
              [](const auto& a, const auto& b) { return a.label < b.label; });
  }
}

}  // namespace

// What is behind the pages: the registry, and the families whose series may appear later (within the fixed lists).
struct Metrics::Series {
  explicit Series(const std::string& model_name)
      : model(label_text(model_name)),
        requests(prometheus::BuildCounter()
                     .Name("llm_requests_total")
                     .Help("Requests that ended after they were taken, by gRPC code and the answer's finish reason.")
                     .Labels({{"model", model}})
                     .Register(registry)),
        rejected(prometheus::BuildCounter()
                     .Name("llm_rejected_total")
                     .Help("Requests that were refused before they were taken.")
                     .Labels({{"model", model}})
                     .Register(registry)),
        durations(prometheus::BuildHistogram()
                      .Name("llm_request_duration_seconds")
                      .Help("From a request's arrival to its end, by gRPC code.")
                      .Labels({{"model", model}})
                      .Register(registry)) {}

  void start_requests_at_zero(const std::string& mode);

  const std::string model;
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests;
  prometheus::Family<prometheus::Counter>& rejected;
  prometheus::Family<prometheus::Histogram>& durations;
  std::vector<std::string> modes;  // as label values
  prometheus::Gauge* pages_free = nullptr;
  prometheus::Gauge* pages_used = nullptr;
  prometheus::Gauge* pages_cached = nullptr;
  std::vector<prometheus::Gauge*> mode_pages;
  prometheus::Gauge* estimated_queue = nullptr;
  prometheus::Gauge* text_calls = nullptr;
  prometheus::Gauge* text_bytes = nullptr;
  prometheus::Counter* text_seconds = nullptr;

  std::mutex sample_mutex;  // one scrape at a time calls `sample`
  std::function<MemorySample()> sample;
};

void Metrics::Series::start_requests_at_zero(const std::string& mode) {
  for (std::string_view code : kEndingCodes) {
    requests.Add(request_labels(mode, code, "none"));
    durations.Add(duration_labels(mode, code), request_buckets());
  }
  for (std::string_view reason : kFinishReasons) {
    if (reason != "other") requests.Add(request_labels(mode, "OK", reason));
  }
  for (std::string_view reason : kRejectReasons) rejected.Add(rejection_labels(mode, reason));
}

Metrics::Metrics(const std::string& model, std::vector<ModeFacts> modes)
    : series_(std::make_shared<Series>(model)), facts_(std::move(modes)) {
  Series& series = *series_;
  const SeriesPlace place = {series.registry, series.model};
  for (const ModeFacts& facts : facts_) {
    modes_.push_back(make_mode_series(place, facts.id));
    publish_facts(place, facts);
    const std::string mode = label_text(facts.id);
    series.start_requests_at_zero(mode);
    series.mode_pages.push_back(gauge(place, "llm_kv_mode_pages",
                                      "Pages of the arena that requests of this mode use; shared ones stand once.",
                                      {{"mode", mode}}));
    series.modes.push_back(mode);
  }
  for (std::string_view reason : kRejectReasons) series.rejected.Add(rejection_labels("none", reason));
  series.pages_free = gauge(place, "llm_kv_pages", kPagesHelp, {{"state", "free"}});
  series.pages_used = gauge(place, "llm_kv_pages", kPagesHelp, {{"state", "used"}});
  series.pages_cached = gauge(place, "llm_kv_pages", kPagesHelp, {{"state", "cached"}});
  series.estimated_queue =
      gauge(place, "llm_estimated_queue_seconds",
            "How long a request that arrives now would wait for its first step, as we reckon.", {});
  series.text_calls =
      gauge(place, "llm_text_calls",
            "Calls whose text is being worked on before the queue, or whose answer is not read yet.", {});
  series.text_bytes = gauge(place, "llm_text_bytes",
                            "Bytes charged to calls for text in work and for whole answers until they are read.", {});
  series.text_seconds =
      counter(place, "llm_text_seconds_total", "Thread time spent on parsing, rendering and encoding texts.", {});
  gauge(place, "llm_build_info", "The server's version. Always 1.", {{"version", HALFTONE_VERSION}})->Set(1);
}

void Metrics::request_ended(int mode, std::string_view code, std::string_view finish_reason, double seconds) {
  const std::string& label = series_->modes[static_cast<size_t>(mode)];
  code = known_code(code);
  series_->requests.Add(request_labels(label, code, known_finish_reason(finish_reason))).Increment();
  series_->durations.Add(duration_labels(label, code), request_buckets()).Observe(seconds);
}

void Metrics::request_rejected(int mode, std::string_view reason) {
  const std::string label = mode < 0 ? "none" : series_->modes[static_cast<size_t>(mode)];
  series_->rejected.Add(rejection_labels(label, known_reject_reason(reason))).Increment();
}

void Metrics::set_pages(int64_t free, int64_t used, int64_t cached) {
  series_->pages_free->Set(static_cast<double>(free));
  series_->pages_used->Set(static_cast<double>(used));
  series_->pages_cached->Set(static_cast<double>(cached));
}

void Metrics::set_mode_pages(int mode, int64_t used) {
  series_->mode_pages[static_cast<size_t>(mode)]->Set(static_cast<double>(used));
}

void Metrics::set_estimated_queue_seconds(double seconds) { series_->estimated_queue->Set(seconds); }

void Metrics::set_text_load(int64_t calls, uint64_t bytes) {
  series_->text_calls->Set(static_cast<double>(calls));
  series_->text_bytes->Set(static_cast<double>(bytes));
}

void Metrics::text_worked(double seconds) { series_->text_seconds->Increment(seconds); }

void Metrics::on_scrape(std::function<MemorySample()> sample) {
  const std::lock_guard<std::mutex> lock(series_->sample_mutex);
  series_->sample = std::move(sample);
}

std::string Metrics::render() {
  std::vector<prometheus::MetricFamily> families = series_->registry.Collect();
  {
    const std::lock_guard<std::mutex> lock(series_->sample_mutex);
    if (series_->sample) {
      for (prometheus::MetricFamily& family : memory_families(series_->model, series_->sample())) {
        families.push_back(std::move(family));
      }
    }
  }
  sort_for_reading(families);
  return prometheus::TextSerializer().Serialize(families);
}

double Metrics::request_count(int mode, std::string_view code) const {
  const std::string& label = series_->modes[static_cast<size_t>(mode)];
  double count = 0;
  for (std::string_view reason : kFinishReasons) {
    const Labels labels = request_labels(label, known_code(code), reason);
    if (series_->requests.Has(labels)) count += series_->requests.Add(labels).Value();
  }
  return count;
}

ModeTotals Metrics::totals(int mode) const {
  const ModeMetrics& series = modes_[static_cast<size_t>(mode)];
  ModeTotals out;
  out.generated_tokens = series.generated_tokens->Value();
  for (const prometheus::Histogram* step : series.step) out.step_seconds += step->Collect().histogram.sample_sum;
  const auto first = series.time_to_first_token->Collect().histogram;
  out.first_tokens = static_cast<double>(first.sample_count);
  out.first_token_seconds = first.sample_sum;
  const auto paced = series.time_per_output_token->Collect().histogram;
  out.paced_requests = static_cast<double>(paced.sample_count);
  out.token_seconds = paced.sample_sum;
  out.interference_seconds = series.interference->Value();
  return out;
}

}  // namespace halftone
