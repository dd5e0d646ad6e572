#include "client/command/mode_table.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/command/table.h"

namespace halftone {
namespace {

constexpr const char* kNothing = "-";

std::string mib(uint64_t bytes) { return short_number(static_cast<double>(bytes) / (1 << 20)); }

std::string milliseconds(bool measured, double seconds) { return measured ? short_number(seconds * 1e3) : kNothing; }

std::string number(bool measured, const std::string& shown) { return measured ? shown : kNothing; }

std::vector<std::string> row(const v1::Mode& mode) {
  const v1::Served& served = mode.served();
  const v1::Quality& quality = mode.quality();
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
          number(mode.has_quality(), absl::StrFormat("%.5f", quality.kl_mean())),
          number(mode.has_quality(), short_number(quality.perplexity())),
          number(mode.has_quality(), absl::StrFormat("%.1f", quality.top1() * 100)),
          mode.import(),
          mode.kernel()};
}

}  // namespace

std::string mode_table(const v1::ServerInfo& info) {
  Table table(1);  // so many columns would not fit a terminal otherwise
  table.add({"mode", "bits/", "own", "shared", "KV B/", "KV", "TTFT", "TPOT", "tok/s", "waited", "KL", "PPL", "top-1",
             "import", "kernel"});
  table.add({"", "weight", "MiB", "MiB", "token", "tokens", "ms", "ms", "", "s", "nats", "", "%", "", ""});
  for (const v1::Mode& mode : info.modes()) table.add(row(mode));
  return table.text();
}

}  // namespace halftone
