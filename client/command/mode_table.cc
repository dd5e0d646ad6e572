#include "client/command/mode_table.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/command/table.h"

namespace halftone {
namespace {

constexpr const char* kNothing = "-";

std::string milliseconds(bool measured, double seconds) { return measured ? short_number(seconds * 1e3) : kNothing; }

std::string number(bool measured, const std::string& shown) { return measured ? shown : kNothing; }

// Two decimals, where so many mean anything: a broken mode's perplexity may be of any size.
std::string perplexity_text(double value) {
  return value < 1000 ? absl::StrFormat("%.2f", value) : absl::StrFormat("%.2g", value);
}

// What has to be known to read the numbers of a mode, each with a letter of its own.
using Labels = std::map<std::string, char>;

Labels labels_of(const v1::ServerInfo& info) {
  Labels labels;
  for (const v1::Mode& mode : info.modes()) {
    const std::string& label = mode.quality().label();
    if (!label.empty() && labels.size() < 26) labels.try_emplace(label, static_cast<char>('a' + labels.size()));
  }
  return labels;
}

std::vector<std::string> row(const v1::Mode& mode, const Labels& labels) {
  const v1::Served& served = mode.served();
  const v1::Quality& quality = mode.quality();
  const auto label = labels.find(quality.label());
  const std::string letter = label == labels.end() ? "" : std::string(1, label->second);
  return {mode.id(),
          absl::StrFormat("%.2f", mode.bits_per_weight()),
          mib(mode.own_bytes()),
          mib(mode.shared_bytes()),
          absl::StrCat(mode.kv_bytes_per_token()),
          absl::StrCat(mode.kv_capacity_tokens()),
          milliseconds(served.has_mean_ttft_seconds(), served.mean_ttft_seconds()),
          milliseconds(served.has_mean_tpot_seconds(), served.mean_tpot_seconds()),
          served.has_generated_tokens_per_second() ? short_number(served.generated_tokens_per_second()) : kNothing,
          short_number(served.interference_seconds()),
          number(mode.has_quality(), absl::StrFormat("%.5f%s", quality.kl_mean(), letter)),
          number(mode.has_quality(), perplexity_text(quality.perplexity())),
          number(mode.has_quality(), absl::StrFormat("%.1f", quality.top1() * 100)),
          mode.import(),
          mode.kernel()};
}

}  // namespace

std::string mode_table(const v1::ServerInfo& info) {
  const Labels labels = labels_of(info);
  Table table(1);  // so many columns would not fit a terminal otherwise
  table.add({"mode", "bits/", "own", "shared", "KV B/", "KV", "TTFT", "TPOT", "tok/s", "waited", "KL", "PPL", "top-1",
             "import", "kernel"});
  table.add({"", "weight", "MiB", "MiB", "token", "tokens", "ms", "ms", "", "s", "nats", "", "%", "", ""});
  for (const v1::Mode& mode : info.modes()) table.add(row(mode, labels));
  std::string out = table.text();
  for (const auto& [label, letter] : labels) absl::StrAppend(&out, "  ", std::string(1, letter), ": ", label, "\n");
  return out;
}

}  // namespace halftone
