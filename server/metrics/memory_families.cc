#include "server/metrics/memory_families.h"

#include <utility>

#include "server/metrics/labels.h"

namespace halftone {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using Labels = std::vector<ClientMetric::Label>;

constexpr const char* kStages[] = {"load", "prefill", "decode"};  // by MemorySample::Entry::peak_bytes

MetricFamily make_family(const char* name, const char* help) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = prometheus::MetricType::Gauge;
  return family;
}

void add(MetricFamily& family, Labels labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

void add_devices(const std::string& model, const MemorySample& sample, std::vector<MetricFamily>& out) {
  MetricFamily total = make_family("llm_memory_device_total_bytes", "Memory of the device that we may use.");
  MetricFamily used = make_family("llm_memory_device_used_bytes", "What the device says this process uses.");
  MetricFamily accounted =
      make_family("llm_memory_device_accounted_bytes", "What the ledger knows of: the sum of llm_memory_bytes.");
  MetricFamily unaccounted =
      make_family("llm_memory_device_unaccounted_bytes", "Used, but not in the ledger. Negative: in the ledger twice.");
  for (const MemorySample::Device& device : sample.devices) {
    const Labels labels = {{"model", model}, {"device", label_text(device.device)}};
    add(total, labels, static_cast<double>(device.total_bytes));
    add(used, labels, static_cast<double>(device.used_bytes));
    add(accounted, labels, static_cast<double>(device.accounted_bytes));
    add(unaccounted, labels, static_cast<double>(device.unaccounted_bytes));
  }
  for (MetricFamily* family : {&total, &used, &accounted, &unaccounted}) out.push_back(std::move(*family));
}

}  // namespace

std::vector<MetricFamily> memory_families(const std::string& model, const MemorySample& sample) {
  MetricFamily now = make_family("llm_memory_bytes", "Bytes allocated, by owner and category; shared ones stand once.");
  MetricFamily peak = make_family("llm_memory_peak_bytes", "The most that llm_memory_bytes was in a stage.");
  for (const MemorySample::Entry& entry : sample.entries) {
    Labels labels = {{"model", model},
                     {"device", label_text(entry.device)},
                     {"owner", label_text(entry.owner)},
                     {"category", label_text(entry.category)}};
    add(now, labels, static_cast<double>(entry.bytes));
    labels.push_back({"stage", ""});
    for (size_t stage = 0; stage < std::size(kStages); ++stage) {
      labels.back().value = kStages[stage];
      add(peak, labels, static_cast<double>(entry.peak_bytes[stage]));
    }
  }
  std::vector<MetricFamily> out;
  out.push_back(std::move(now));
  out.push_back(std::move(peak));
  add_devices(model, sample, out);
  return out;
}

}  // namespace halftone
