#include <CLI/CLI.hpp>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/command/command.h"
#include "client/command/interrupts.h"
#include "client/command/json.h"
#include "client/command/request_flags.h"
#include "client/status.h"

namespace halftone {
namespace {

struct GenerateFlags {
  RequestFlags request;
  std::string prompt, system;
  std::vector<uint32_t> ids;
  bool chat = false, quiet = false, json = false;
};

absl::StatusOr<v1::GenerateRequest> make_request(const GenerateFlags& flags) {
  auto request = flags.request.request();
  if (!request.ok()) return request;
  if (!flags.ids.empty()) {
    request->mutable_tokens()->mutable_ids()->Add(flags.ids.begin(), flags.ids.end());
    return request;
  }
  auto text = read_text(flags.prompt);
  if (!text.ok()) return text.status();
  if (!flags.chat && flags.system.empty()) {
    request->set_text(*text);
    return request;
  }
  const auto say = [&](const std::string& role, const std::string& content) {
    v1::Message* message = request->mutable_chat()->add_messages();
    message->set_role(role);
    message->set_content(content);
  };
  if (!flags.system.empty()) say("system", flags.system);
  say("user", *text);
  return request;
}

// "  -0.1234  #1  " Paris"   " Paris" -0.1234  " the" -2.9000"
void print_token(const v1::TokenInfo& token) {
  std::string line = token.has_logprob() ? absl::StrFormat("%10.4f  #%-5d", token.logprob(), token.rank())
                                         : absl::StrFormat("%10s  %-6s", "-", "-");
  absl::StrAppend(&line, " ", quoted(token.piece()), "  ");
  for (const v1::Candidate& other : token.top()) {
    absl::StrAppendFormat(&line, "  %s %.4f", quoted(other.piece()), other.logprob());
  }
  std::cerr << line << "\n";
}

// What stands on standard error after the text: why it ended, its tokens where asked for, the receipt.
struct EndLines {
  std::vector<v1::TokenInfo> tokens;
  v1::GenerateResponse last;
  std::string mode;
  uint64_t seed = 0;

  void add(const v1::GenerateResponse& message, bool keep_tokens) {
    if (!message.mode().empty()) {
      mode = message.mode();
      seed = message.seed();
    }
    if (keep_tokens) {
      tokens.insert(tokens.end(), message.prompt_tokens().begin(), message.prompt_tokens().end());
      tokens.insert(tokens.end(), message.tokens().begin(), message.tokens().end());
    }
    last = message;
  }
  void print(bool quiet) const {
    for (const v1::TokenInfo& token : tokens) print_token(token);
    if (quiet) return;
    std::string end =
        absl::StrCat("mode ", mode, ", seed ", seed, ", ended by ", v1::Finish::Reason_Name(last.finish().reason()));
    if (!last.finish().stop().empty()) absl::StrAppend(&end, " ", quoted(last.finish().stop()));
    std::cerr << end << "\n" << receipt_line(last.receipt()) << std::endl;
  }
};

int generate(const GenerateFlags& flags, const Globals& globals) {
  auto request = make_request(flags);
  if (!request.ok()) {
    report(request.status(), globals);
    return kExitUsage;
  }
  Cancellation cancellation;
  Interrupts interrupts;
  interrupts.set([&] { cancellation.cancel(); });
  Client client = globals.client();
  EndLines end_lines;
  const bool keep_tokens = request->output().logprobs() > 0 || request->output().prompt_logprobs() > 0;
  const auto on_message = [&](const v1::GenerateResponse& message) {
    if (flags.json) {
      std::cout << to_json_line(message) << std::endl;
    } else {
      std::cout << message.text() << std::flush;
      end_lines.add(message, keep_tokens);
    }
  };
  const absl::Status status = client.generate(*request, on_message, globals.call(&cancellation));
  if (!flags.json && !end_lines.mode.empty()) std::cout << std::endl;
  if (cancellation.cancelled()) return kExitInterrupted;
  if (!status.ok()) {
    if (const auto usage = usage_of(status); usage && !flags.quiet) std::cerr << receipt_line(*usage) << "\n";
    return report(status, globals);
  }
  if (!flags.json) end_lines.print(flags.quiet);
  return 0;
}

}  // namespace

void add_generate(CLI::App& app, Globals& globals, Run& run) {
  auto flags = std::make_shared<GenerateFlags>();
  CLI::App* command = app.add_subcommand("generate",
                                         "Continue a text: streams it to standard output, then a receipt "
                                         "to standard error");
  command->add_option("prompt", flags->prompt, "The text; - or nothing: standard input");
  command->add_option("--ids", flags->ids, "Token ids instead of a text, separated by commas")->delimiter(',');
  command->add_flag("--chat", flags->chat, "Send the prompt as one user message of a chat");
  command->add_option("--system", flags->system, "A system message before it (then it is a chat)");
  command->add_flag("--quiet,-q", flags->quiet, "The text alone, no receipt");
  command->add_flag("--json", flags->json, "Each message of the answer as a line of JSON");
  flags->request.add_common(*command);
  flags->request.add_rest(*command);
  command->callback([flags, &globals, &run] { run = [flags, &globals] { return generate(*flags, globals); }; });
}

}  // namespace halftone
