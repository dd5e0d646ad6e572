#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "client/command/command.h"
#include "client/command/json.h"
#include "client/command/mode_table.h"

namespace halftone {
namespace {

constexpr const char* kLegend =
    "  TTFT, TPOT: means since the server began; tok/s: generated tokens per second of the device's time\n"
    "  waited: streams of the mode for steps of other modes; KL, PPL, top-1: quality cards (--json: how measured)\n";

std::string as_json(const v1::ServerInfo& info) {
  const auto all = nlohmann::ordered_json::parse(to_json_line(info));
  nlohmann::ordered_json out;
  for (const char* key : {"model", "default_mode", "modes"}) out[key] = all.at(key);
  return out.dump(2) + "\n";
}

int modes(bool json, const Globals& globals) {
  const auto info = globals.client().info(globals.call());
  if (!info.ok()) return report(info.status(), globals);
  if (json) {
    std::cout << as_json(*info) << std::flush;
    return 0;
  }
  std::cout << info->model() << " at " << globals.server << ", " << info->default_mode()
            << " where a request names no mode\n"
            << mode_table(*info) << kLegend << std::flush;
  return 0;
}

}  // namespace

void add_modes(CLI::App& app, Globals& globals, Run& run) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command =
      app.add_subcommand("modes", "Show the modes side by side: size, room for tokens, speed so far, quality");
  command->add_flag("--json", *json, "As JSON, in the API's own field names");
  command->callback([json, &globals, &run] { run = [json, &globals] { return modes(*json, globals); }; });
}

}  // namespace halftone
