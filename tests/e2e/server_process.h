// A halftone-server of this build as a child process, on free ports of its own choice. The thread that starts it has to
// outlive it, and alone talks to process(); address(), client() and page(): any thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/client.h"
#include "tests/support/exposition.h"
#include "tests/support/process.h"

namespace halftone {

struct ServeOptions {
  std::string model;
  std::string modes;
  std::vector<std::string> flags = {};
};

class ServerProcess {
 public:
  // Returns when it serves; an error with what it wrote when it does not within a minute.
  static absl::StatusOr<std::unique_ptr<ServerProcess>> start(const ServeOptions& options);

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  // Asks once: what a test sees is the server's own answer.
  Client client(int attempts = 1) const { return Client({.server = address(), .attempts = attempts}); }
  // What /metrics says now; a page without families when nobody answers.
  MetricsPage page() const;
  Process& process() { return *process_; }

 private:
  ServerProcess(std::unique_ptr<Process> process, int port, int metrics_port);

  std::unique_ptr<Process> process_;
  int port_, metrics_port_;
};

// A program of this build, such as "halftone".
std::string program(const std::string& name);
// This build runs under a sanitizer: slower, and with memory of its own.
bool sanitized();
// Polls until the condition holds; false when it does not in time.
bool eventually(std::chrono::milliseconds time, const std::function<bool()>& condition);

// The sum of all series of this name that have at least these labels.
double sum(const MetricsPage& page, const std::string& name, const PageLabels& labels = {});
// Nothing runs, waits or holds a page.
bool idle(const MetricsPage& page);

}  // namespace halftone
