#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <thread>

#include "client/command/command.h"
#include "server/flag_checks.h"

namespace halftone {
namespace {

struct HealthFlags {
  std::string service;
  double wait_seconds = 0;
};

int health(const HealthFlags& flags, const Globals& globals) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::duration<double>(flags.wait_seconds);
  Client client({.server = globals.server, .attempts = 1});
  CallOptions call = globals.call();
  if (!call.deadline_seconds) call.deadline_seconds = 5;
  for (;;) {
    const auto state = client.health(flags.service, call);
    if (state.ok() && *state == "SERVING") {
      std::cout << *state << std::endl;
      return 0;
    }
    if (Clock::now() >= until) {
      if (!state.ok()) return report(state.status(), globals);
      std::cout << *state << std::endl;
      return kExitFailed;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

}  // namespace

void add_health(CLI::App& app, Globals& globals, Run& run) {
  auto flags = std::make_shared<HealthFlags>();
  CLI::App* command = app.add_subcommand("health", "Ask the standard health protocol; exit status 0 only for SERVING");
  command->add_option("--service,--mode", flags->service,
                      "A mode's id or halftone.v1.Inference; not given: the server");
  command->add_option("--wait", flags->wait_seconds, "Keep asking for so many seconds")
      ->check(within(ranges::kDrainSeconds));
  command->callback([flags, &globals, &run] { run = [flags, &globals] { return health(*flags, globals); }; });
}

}  // namespace halftone
