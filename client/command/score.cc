#include <CLI/CLI.hpp>
#include <cmath>
#include <iostream>

#include "absl/strings/str_format.h"
#include "client/command/command.h"
#include "client/command/json.h"

namespace halftone {
namespace {

struct ScoreFlags {
  std::string text, mode;
  std::vector<uint32_t> ids;
  std::optional<uint32_t> first;
  uint32_t top = 0;
  bool tokens = false, json = false;
};

int score(const ScoreFlags& flags, const Globals& globals) {
  v1::ScoreRequest request;
  request.set_mode(flags.mode);
  request.set_top_n(flags.top);
  if (flags.first) request.set_first_scored(*flags.first);
  if (!flags.ids.empty()) {
    request.mutable_tokens()->mutable_ids()->Add(flags.ids.begin(), flags.ids.end());
  } else {
    auto text = read_text(flags.text);
    if (!text.ok()) return report(text.status(), globals), kExitUsage;
    request.set_text(*std::move(text));
  }
  const auto response = globals.client().score(request, globals.call());
  if (!response.ok()) return report(response.status(), globals);
  if (flags.json) {
    std::cout << to_json_page(*response) << std::flush;
    return 0;
  }
  if (flags.tokens || flags.top > 0) {
    for (const v1::ScoredToken& token : response->tokens()) {
      std::cout << absl::StrFormat("%8d  %10.4f  #%-5d %s", token.id(), token.logprob(), token.rank(),
                                   quoted(token.piece()));
      for (const v1::Candidate& other : token.top()) {
        std::cout << absl::StrFormat("    %s %.4f", quoted(other.piece()), other.logprob());
      }
      std::cout << "\n";
    }
  }
  std::cout << absl::StrFormat("perplexity %.4f, %.6f nats per token, %d tokens scored, mode %s",
                               std::exp(-response->sum_logprob() / response->tokens_size()),
                               -response->sum_logprob() / response->tokens_size(), response->tokens_size(),
                               response->mode())
            << std::endl;
  return 0;
}

}  // namespace

void add_score(CLI::App& app, Globals& globals, Run& run) {
  auto flags = std::make_shared<ScoreFlags>();
  CLI::App* command = app.add_subcommand("score", "How probable a mode finds a text: its perplexity");
  command->add_option("text", flags->text, "The text; - or nothing: standard input");
  command->add_option("--ids", flags->ids, "Token ids instead of a text, separated by commas")->delimiter(',');
  command->add_option("--mode", flags->mode, "Compression mode; the server's first one where not given");
  command->add_option("--first", flags->first, "Tokens before this one are only context; at least 1");
  command->add_option("--top", flags->top, "Show so many best candidates of each token");
  command->add_flag("--tokens", flags->tokens, "Show each token");
  command->add_flag("--json", flags->json, "As JSON, in the API's own field names");
  command->callback([flags, &globals, &run] { run = [flags, &globals] { return score(*flags, globals); }; });
}

}  // namespace halftone
