#include <CLI/CLI.hpp>
#include <iostream>

#include "client/command/command.h"
#include "client/command/json.h"

namespace halftone {
namespace {

struct TokenizeFlags {
  std::string text;
  bool chat = false, special = false, ids = false, json = false;
};

int tokenize(const TokenizeFlags& flags, const Globals& globals) {
  auto text = read_text(flags.text);
  if (!text.ok()) {
    report(text.status(), globals);
    return kExitUsage;
  }
  v1::TokenizeRequest request;
  if (flags.chat) {
    v1::Message* message = request.mutable_chat()->add_messages();
    message->set_role("user");
    message->set_content(*text);
  } else {
    request.set_text(*text);
  }
  request.set_add_special(flags.special);
  const auto response = globals.client().tokenize(request, globals.call());
  if (!response.ok()) return report(response.status(), globals);
  if (flags.json) {
    std::cout << to_json_page(*response) << std::flush;
    return 0;
  }
  for (int i = 0; i < response->ids_size(); ++i) {
    if (flags.ids) {
      std::cout << (i == 0 ? "" : ",") << response->ids(i);
    } else {
      std::cout << response->ids(i) << "\t" << quoted(response->pieces(i)) << "\n";
    }
  }
  std::cout << (flags.ids ? "\n" : "") << std::flush;
  return 0;
}

int detokenize(const std::vector<uint32_t>& ids, bool skip_special, const Globals& globals) {
  v1::DetokenizeRequest request;
  request.mutable_ids()->Add(ids.begin(), ids.end());
  request.set_skip_special(skip_special);
  const auto response = globals.client().detokenize(request, globals.call());
  if (!response.ok()) return report(response.status(), globals);
  std::cout << response->text() << std::endl;
  return 0;
}

}  // namespace

void add_tokenize(CLI::App& app, Globals& globals, Run& run) {
  auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* command = app.add_subcommand("tokenize", "Show the tokens that a text becomes");
  command->add_option("text", flags->text, "The text; - or nothing: standard input");
  command->add_flag("--chat", flags->chat, "As one user message of a chat");
  command->add_flag("--special", flags->special, "With the begin token that generate would put before the text");
  command->add_flag("--ids", flags->ids, "The ids alone, separated by commas");
  command->add_flag("--json", flags->json, "As JSON, in the API's own field names");
  command->callback([flags, &globals, &run] { run = [flags, &globals] { return tokenize(*flags, globals); }; });
}

void add_detokenize(CLI::App& app, Globals& globals, Run& run) {
  struct Flags {
    std::vector<uint32_t> ids;
    bool skip_special = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("detokenize", "Show the text that token ids stand for");
  command->add_option("ids", flags->ids, "Token ids, separated by commas")->delimiter(',')->required();
  command->add_flag("--skip-special", flags->skip_special, "Without special tokens");
  command->callback([flags, &globals, &run] {
    run = [flags, &globals] { return detokenize(flags->ids, flags->skip_special, globals); };
  });
}

}  // namespace halftone
