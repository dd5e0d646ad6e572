#include <CLI/CLI.hpp>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/command/command.h"
#include "client/command/json.h"
#include "client/command/table.h"

namespace halftone {
namespace {

std::string mib(uint64_t bytes) { return bytes_text(static_cast<double>(bytes)); }

std::string head(const v1::ServerInfo& info, const Globals& globals) {
  std::string out = absl::StrCat("Halftone ", info.version(), " at ", globals.server, "\n");
  absl::StrAppend(&out, "  model     ", info.model(), " (", info.architecture(), ", ", info.vocabulary_tokens(),
                  " tokens in its vocabulary)\n");
  absl::StrAppend(&out, "  source    ", info.source_format(), "  ", info.model_digest(), "\n");
  absl::StrAppend(
      &out, "  chat      ",
      info.chat_template().empty() ? "refused: the checkpoint's template is not known" : info.chat_template(), "\n");
  for (const v1::Device& device : info.devices()) {
    absl::StrAppend(&out, "  device    ", device.name(), ": ", device.description(), ", ", device.isa(), ", ",
                    device.threads(), " threads, ", mib(device.total_bytes()), "\n");
  }
  absl::StrAppend(&out, "  load      ", info.load().running(), " running, ", info.load().waiting(), " waiting (",
                  info.load().waiting_tokens(), " tokens, about ",
                  absl::StrFormat("%.1f s), ", info.load().estimated_queue_seconds()), info.load().text_calls(),
                  " texts in work (", mib(info.load().text_bytes()), ")\n");
  return out;
}

std::string modes(const v1::ServerInfo& info, const v1::MemoryReport& memory) {
  Table table;
  table.add({"mode", "bits/weight", "own", "shared", "alone", "KV/token", "KV tokens", "import", "kernel"});
  for (const v1::Mode& mode : info.modes()) {
    uint64_t footprint = 0;
    for (const v1::Footprint& entry : memory.footprints()) {
      if (entry.mode() == mode.id()) footprint = entry.bytes();
    }
    table.add({mode.id() + (mode.id() == info.default_mode() ? " *" : ""),
               absl::StrFormat("%.2f", mode.bits_per_weight()), mib(mode.own_bytes()), mib(mode.shared_bytes()),
               mib(footprint), mib(mode.kv_bytes_per_token()), absl::StrCat(mode.kv_capacity_tokens()), mode.import(),
               mode.kernel()});
  }
  return "\nModes (* where a request names none; alone: what the mode would need by itself)\n" + table.text();
}

// All fields of a flat message, as the proto names them.
std::string fields(const google::protobuf::Message& message) {
  std::string out;
  const auto& reflection = *message.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> set;
  reflection.ListFields(message, &set);
  for (const auto* field : set) {
    std::string value;
    if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_FLOAT) {
      value = absl::StrCat(reflection.GetFloat(message, field));
    } else if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_UINT64) {
      value = absl::StrCat(reflection.GetUInt64(message, field));
    } else {
      value = absl::StrCat(reflection.GetUInt32(message, field));
    }
    absl::StrAppend(&out, "  ", field->name(), " ", value, "\n");
  }
  return out;
}

std::string memory_tables(const v1::MemoryReport& memory) {
  Table entries;
  entries.add({"owner", "category", "now", "peak load", "peak prefill", "peak decode", "device"});
  for (const v1::MemoryEntry& entry : memory.entries()) {
    entries.add({entry.owner(), entry.category(), mib(entry.bytes()), mib(entry.peaks().load_bytes()),
                 mib(entry.peaks().prefill_bytes()), mib(entry.peaks().decode_bytes()), entry.device()});
  }
  std::string out = "\nMemory (each byte stands once)\n" + entries.text();
  for (const v1::DeviceMemory& device : memory.devices()) {
    absl::StrAppend(&out, "  ", device.device(), ": ", mib(device.used_bytes()), " used of ", mib(device.total_bytes()),
                    "; ", mib(device.accounted_bytes()), " accounted for, ",
                    absl::StrFormat("%.1f MiB not\n", static_cast<double>(device.unaccounted_bytes()) / (1 << 20)));
  }
  return out;
}

int info(bool json, const Globals& globals) {
  Client client = globals.client();
  const auto server = client.info(globals.call());
  if (!server.ok()) return report(server.status(), globals);
  const auto memory = client.memory(globals.call());
  if (!memory.ok()) return report(memory.status(), globals);
  if (json) {
    std::cout << "{\"server\":" << to_json_page(*server) << ",\"memory\":" << to_json_page(*memory) << "}" << std::endl;
    return 0;
  }
  std::cout << head(*server, globals) << modes(*server, *memory) << memory_tables(*memory) << "\nLimits\n"
            << fields(server->limits()) << "\nDefaults\n"
            << fields(server->defaults().sampling()) << fields(server->defaults().stopping()) << std::flush;
  return 0;
}

}  // namespace

void add_info(CLI::App& app, Globals& globals, Run& run) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("info", "Show server, model, modes, memory, limits, defaults and load");
  command->add_flag("--json", *json, "As JSON, in the API's own field names");
  command->callback([json, &globals, &run] { run = [json, &globals] { return info(*json, globals); }; });
}

}  // namespace halftone
