#include "tests/e2e/server_process.h"

#include <cstdio>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/server/http/raw_client.h"

namespace halftone {
namespace {

constexpr std::chrono::seconds kStart{60};

}  // namespace

ServerProcess::ServerProcess(std::unique_ptr<Process> process, int port, int metrics_port)
    : process_(std::move(process)), port_(port), metrics_port_(metrics_port) {}

absl::StatusOr<std::unique_ptr<ServerProcess>> ServerProcess::start(const ServeOptions& options) {
  ProcessOptions child;
  child.command = {program("halftone-server"), "--model", options.model, "--modes", options.modes, "--port", "0",
                   "--metrics-port",           "0"};
  child.command.insert(child.command.end(), options.flags.begin(), options.flags.end());
  absl::StatusOr<std::unique_ptr<Process>> process = Process::start(child);
  if (!process.ok()) return process.status();
  const std::optional<std::string> line = (*process)->wait_for_line(" (gRPC) and http://", kStart);
  int port = 0, metrics_port = 0;
  const size_t grpc = line ? line->find(" on 127.0.0.1:") : std::string::npos;
  if (grpc == std::string::npos || std::sscanf(line->c_str() + grpc, " on 127.0.0.1:%d (gRPC) and http://127.0.0.1:%d/",
                                               &port, &metrics_port) != 2) {
    return absl::UnavailableError(absl::StrCat("halftone-server does not say that it serves; it wrote:\n",
                                               (*process)->output(), (*process)->errors()));
  }
  return std::unique_ptr<ServerProcess>(new ServerProcess(*std::move(process), port, metrics_port));
}

MetricsPage ServerProcess::page() const { return read_metrics_page(ask(metrics_port_, "GET", "/metrics").body); }

std::string program(const std::string& name) { return absl::StrCat(HALFTONE_BINARY_DIR, "/bin/", name); }

bool sanitized() { return HALFTONE_SANITIZED; }

bool eventually(std::chrono::milliseconds time, const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

double sum(const MetricsPage& page, const std::string& name, const PageLabels& labels) {
  double total = 0;
  for (const auto& [family_name, family] : page.families) {
    for (const PageSample& sample : family.samples) {
      bool matches = sample.name == name;
      for (const auto& [label, value] : labels) {
        auto found = sample.labels.find(label);
        matches = matches && found != sample.labels.end() && found->second == value;
      }
      if (matches) total += sample.value;
    }
  }
  return total;
}

bool idle(const MetricsPage& page) {
  return page.families.count("llm_kv_pages") > 0 && sum(page, "llm_kv_pages", {{"state", "used"}}) == 0 &&
         sum(page, "llm_requests_running") == 0 && sum(page, "llm_requests_waiting") == 0;
}

}  // namespace halftone
