#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/command/command.h"
#include "client/command/comparison.h"
#include "client/command/interrupts.h"
#include "client/command/request_flags.h"
#include "client/status.h"

namespace halftone {
namespace {

struct CompareFlags {
  std::string prompt;
  std::vector<std::string> modes;  // none: all of the server
  std::optional<uint32_t> max_tokens;
  float temperature = 0;
  std::optional<uint64_t> seed;
  bool chat = false, json = false;
};

absl::StatusOr<std::vector<v1::Mode>> chosen_modes(const v1::ServerInfo& info, const CompareFlags& flags) {
  if (flags.modes.empty()) return std::vector<v1::Mode>(info.modes().begin(), info.modes().end());
  std::vector<v1::Mode> chosen;
  for (const std::string& id : flags.modes) {
    const auto found =
        std::find_if(info.modes().begin(), info.modes().end(), [&](const v1::Mode& mode) { return mode.id() == id; });
    if (found == info.modes().end()) {
      const auto append_id = [](std::string* out, const v1::Mode& mode) { *out += mode.id(); };
      return absl::NotFoundError(
          absl::StrCat("--modes names \"", id, "\"; the server has ", absl::StrJoin(info.modes(), ", ", append_id)));
    }
    chosen.push_back(*found);
  }
  return chosen;
}

// A salt of its own: no mode finds the prompt in a cache, so that the times to the first token compare.
v1::GenerateRequest make_request(const CompareFlags& flags, const std::string& prompt) {
  v1::GenerateRequest request;
  if (flags.chat) {
    v1::Message* message = request.mutable_chat()->add_messages();
    message->set_role("user");
    message->set_content(prompt);
  } else {
    request.set_text(prompt);
  }
  request.mutable_sampling()->set_temperature(flags.temperature);
  if (flags.seed) request.mutable_sampling()->set_seed(*flags.seed);
  if (flags.max_tokens) request.mutable_stopping()->set_max_new_tokens(*flags.max_tokens);
  request.mutable_output()->set_receipt(true);
  std::random_device random;
  request.mutable_scheduling()->set_cache_salt(absl::StrCat("compare-", random(), "-", random()));
  return request;
}

class Comparison {
 public:
  Comparison(const CompareFlags& flags, const Globals& globals, Cancellation& cancellation)
      : flags_(flags), globals_(globals), cancellation_(cancellation), client_(globals.client()) {}

  absl::Status ask(const v1::Mode& mode, v1::GenerateRequest& request) {
    request.set_mode(mode.id());
    ModeAnswer answer;
    answer.mode = mode;
    if (!flags_.json) std::cout << "== " << mode.id() << std::endl;
    const auto on_message = [&](const v1::GenerateResponse& message) {
      if (!flags_.json) std::cout << message.text() << std::flush;
      answer.add(message);
      // A seed that was drawn for the first mode draws for all.
      if (!message.request_id().empty()) request.mutable_sampling()->set_seed(message.seed());
    };
    absl::Status status = client_.generate(v1::GenerateRequest(request), on_message, globals_.call(&cancellation_));
    if (!flags_.json && !answer.tokens.empty()) std::cout << std::endl;
    if (!status.ok()) return status;
    answers_.push_back(std::move(answer));
    if (!flags_.json) print_last();
    return status;
  }

  void print_summary(const std::string& prompt) const {
    std::cout << (flags_.json ? comparison_json(prompt, answers_) : comparison_table(answers_)) << std::flush;
  }

 private:
  void print_last() const {
    std::cout << "   " << receipt_line(answers_.back().receipt) << "\n";
    if (answers_.size() > 1) std::cout << "   " << difference_line(answers_.front(), answers_.back()) << "\n";
    std::cout << std::endl;
  }

  const CompareFlags& flags_;
  const Globals& globals_;
  Cancellation& cancellation_;
  Client client_;
  std::vector<ModeAnswer> answers_;
};

int compare(const CompareFlags& flags, const Globals& globals) {
  const auto prompt = read_text(flags.prompt);
  if (!prompt.ok()) {
    report(prompt.status(), globals);
    return kExitUsage;
  }
  Cancellation cancellation;
  Interrupts interrupts;
  interrupts.set([&] { cancellation.cancel(); });
  const auto info = globals.client().info(globals.call(&cancellation));
  if (cancellation.cancelled()) return kExitInterrupted;
  if (!info.ok()) return report(info.status(), globals);
  const auto modes = chosen_modes(*info, flags);
  if (!modes.ok()) return report(modes.status(), globals);
  v1::GenerateRequest request = make_request(flags, *prompt);
  Comparison comparison(flags, globals, cancellation);
  for (const v1::Mode& mode : *modes) {
    const absl::Status status = comparison.ask(mode, request);
    if (cancellation.cancelled()) return kExitInterrupted;
    if (!status.ok()) return report(status, globals);
  }
  comparison.print_summary(*prompt);
  return 0;
}

}  // namespace

void add_compare(CLI::App& app, Globals& globals, Run& run) {
  auto flags = std::make_shared<CompareFlags>();
  CLI::App* command = app.add_subcommand(
      "compare", "One prompt through each mode, one after another: texts, first differing token, times, bytes");
  command->add_option("prompt", flags->prompt, "The text; - or nothing: standard input");
  command
      ->add_option("--modes", flags->modes,
                   "Modes separated by commas, the first is what others are compared to; "
                   "all of the server where not given")
      ->delimiter(',');
  command->add_option("--max-tokens", flags->max_tokens, "Tokens of each answer at most");
  command->add_option("--temperature", flags->temperature, "0: always the most probable token")->capture_default_str();
  command->add_option("--seed", flags->seed, "Of the draws of every mode, where the temperature is not 0");
  command->add_flag("--chat", flags->chat, "Send the prompt as one user message of a chat");
  command->add_flag("--json", flags->json, "All of it as JSON, in seconds and bytes");
  command->callback([flags, &globals, &run] { run = [flags, &globals] { return compare(*flags, globals); }; });
}

}  // namespace halftone
