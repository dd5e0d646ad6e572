// The `halftone` command against a whole server in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/client/process.h"
#include "tests/client/scripted_server.h"
#include "tests/server/rpc/live_server.h"

namespace halftone {
namespace {

using testing::HasSubstr;
using testing::Not;

// Prompt, tokens that can be printed, and their text: the executor says "e" for ever.
void say_e(LiveServer& server) {
  server.executor.choose([](ModeIndex, std::span<const int32_t>) { return kFakeFirstWord; });
}

Finished run(const LiveServer& server, std::vector<std::string> arguments, const std::string& input = "") {
  arguments.insert(arguments.end(), {"--server", server.address()});
  return run_command(std::move(arguments), input);
}

TEST(GenerateCommand, TextGoesToStandardOutputAndTheReceiptToStandardError) {
  LiveServer server;
  say_e(server);
  const Finished finished = run(server, {"generate", "the", "--max-tokens", "5", "--temperature", "0", "--seed", "3"});
  EXPECT_EQ(finished.status, 0) << finished.err;
  EXPECT_EQ(finished.out, "eeeee\n");
  EXPECT_THAT(finished.err, HasSubstr("mode w4a16, seed 3, ended by LENGTH"));
  EXPECT_THAT(finished.err, HasSubstr("5 generated in"));
}

TEST(GenerateCommand, QuietIsTheTextAlone) {
  LiveServer server;
  say_e(server);
  const Finished finished = run(server, {"generate", "the", "--max-tokens", "5", "--temperature", "0", "-q"});
  EXPECT_EQ(finished.out, "eeeee\n");
  EXPECT_EQ(finished.err, "");
}

TEST(GenerateCommand, StandardInputIsAPromptToo) {
  ScriptedServer server;
  server.answer({{.messages = {message_of("x", true)}, .status = absl::OkStatus(), .usage = ""}});
  for (const char* dash : {"-", ""}) {
    std::vector<std::string> arguments = {"generate", "--server", server.address()};
    if (*dash != '\0') arguments.push_back(dash);
    EXPECT_EQ(run_command(arguments, "from a pipe").status, 0);
    EXPECT_EQ(server.requests().back().text(), "from a pipe");
  }
}

TEST(GenerateCommand, APromptCanBeAChatOrTokenIds) {
  ScriptedServer server;
  server.answer({{.messages = {message_of("x", true)}, .status = absl::OkStatus(), .usage = ""}});
  EXPECT_EQ(run_command({"generate", "hi", "--chat", "--server", server.address()}).status, 0);
  ASSERT_EQ(server.requests().back().chat().messages_size(), 1);
  EXPECT_EQ(server.requests().back().chat().messages(0).role(), "user");
  EXPECT_EQ(run_command({"generate", "hi", "--system", "be brief", "--server", server.address()}).status, 0);
  ASSERT_EQ(server.requests().back().chat().messages_size(), 2);
  EXPECT_EQ(server.requests().back().chat().messages(0).content(), "be brief");
  EXPECT_EQ(run_command({"generate", "--ids", "4,5,6", "--server", server.address()}).status, 0);
  EXPECT_EQ(server.requests().back().tokens().ids_size(), 3);
}

TEST(GenerateCommand, LogprobsShowEachTokenAndItsRivals) {
  LiveServer server;
  say_e(server);
  const Finished finished =
      run(server, {"generate", "the", "--max-tokens", "2", "--temperature", "0", "--logprobs", "2"});
  EXPECT_EQ(finished.out, "ee\n");
  EXPECT_THAT(finished.err, HasSubstr("-0.2500  #1     \"e\"    \"e\" -0.2500  \"t\" -0.5000"));
}

TEST(GenerateCommand, JsonIsALineForEachMessage) {
  LiveServer server;
  say_e(server);
  const Finished finished = run(server, {"generate", "the", "--max-tokens", "3", "--temperature", "0", "--json"});
  std::string text;
  std::istringstream lines(finished.out);
  nlohmann::json message;
  for (std::string line; std::getline(lines, line);) {
    message = nlohmann::json::parse(line);
    text += message["text"];
  }
  EXPECT_EQ(text, "eee");
  EXPECT_EQ(message["finish"]["reason"], "LENGTH");
}

TEST(GenerateCommand, InterruptedItCancelsAndSaysSoInItsExitStatus) {
  LiveOptions options;
  options.executor.sleeps = true;
  options.executor.modes[0].step_time = 20'000'000;
  LiveServer server(options);
  say_e(server);
  Process process({"generate", "the", "--max-tokens", "200", "--temperature", "0", "--server", server.address()});
  process.read_until("ee");
  process.signal(SIGINT);
  EXPECT_EQ(process.wait(), 130);
  EXPECT_TRUE(server.eventually([&] { return server.metrics.request_count(0, "CANCELLED") == 1; }));
}

TEST(GenerateCommand, KilledItsPagesAreFree) {
  LiveOptions options;
  options.executor.sleeps = true;
  options.executor.modes[0].step_time = 20'000'000;
  LiveServer server(options);
  say_e(server);
  Process process({"generate", "the", "--max-tokens", "200", "--temperature", "0", "--server", server.address()});
  process.read_until("ee");
  process.signal(SIGKILL);
  EXPECT_EQ(process.wait(), 128 + SIGKILL);
  EXPECT_TRUE(server.eventually([&] { return server.metrics.request_count(0, "CANCELLED") == 1 && server.idle(); }));
}

TEST(Errors, AreOneLineWithTheStatusAndWhatToDo) {
  LiveServer server;
  const auto expect_line = [](const Finished& finished, const std::string& text) {
    EXPECT_EQ(finished.status, 1);
    EXPECT_EQ(finished.err.substr(0, 10), "halftone: ");
    EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
    EXPECT_THAT(finished.err, HasSubstr(text));
  };
  expect_line(run(server, {"generate", "a", "--mode", "w2"}),
              "NOT_FOUND: there is no mode \"w2\"; the modes are w4a16");
  expect_line(run(server, {"generate", "a", "--top-p", "1.7"}),
              "INVALID_ARGUMENT: sampling.top_p = 1.7 is outside (0, 1]");
  expect_line(run(server, {"score", "a", "--top", "99"}), "INVALID_ARGUMENT: top_n = 99");
  for (const char* command : {"info", "health", "bench", "chat"}) {
    expect_line(run_command({command, "--server", "127.0.0.1:1"}), "UNAVAILABLE: ");
  }
  expect_line(run_command({"info", "--server", "127.0.0.1:1"}), "Start one with halftone-server");
}

TEST(Errors, AWrongCommandLineIsStatusTwo) {
  EXPECT_EQ(run_command({}).status, 2);
  EXPECT_EQ(run_command({"generate", "a", "--no-such-flag"}).status, 2);
  EXPECT_EQ(run_command({"generate", "a", "--top-k", "many"}).status, 2);
  EXPECT_EQ(run_command({"generate", "a", "--timeout", "-1"}).status, 2);
  EXPECT_EQ(run_command({"--help"}).status, 0);
  EXPECT_EQ(run_command({"--version"}).out, "0.1.0\n");
}

TEST(HealthCommand, IsZeroOnlyForServing) {
  LiveServer server;
  EXPECT_EQ(run(server, {"health"}).out, "SERVING\n");
  EXPECT_EQ(run(server, {"health", "--mode", "w4a16+kv8"}).status, 0);
  EXPECT_EQ(run(server, {"health", "--mode", "w2"}).status, 1);
  server.rpc->stop_serving();
  const Finished down = run(server, {"health"});
  EXPECT_EQ(down.status, 1);
  EXPECT_EQ(down.out, "NOT_SERVING\n");
}

TEST(InfoCommand, IsOnePageWithEverything) {
  LiveServer server;
  const Finished page = run(server, {"info"});
  EXPECT_EQ(page.status, 0) << page.err;
  for (const char* part : {"tiny", "chatml", "w4a16 *", "w4a16+kv8", "kv_cache", "max_context_tokens 256", "top_k 40",
                           "running", "accounted for"}) {
    EXPECT_THAT(page.out, HasSubstr(part));
  }
}

TEST(InfoCommand, JsonHasTheApisOwnNames) {
  LiveServer server;
  const auto json = nlohmann::json::parse(run(server, {"info", "--json"}).out);
  EXPECT_EQ(json["server"]["modes"][1]["id"], "w4a16+kv8");
  EXPECT_EQ(json["server"]["limits"]["max_context_tokens"], 256);
  EXPECT_EQ(json["memory"]["entries"][0]["bytes"], "1000");
}

TEST(ScoreCommand, IsThePerplexityOfTheText) {
  LiveServer server;
  const auto score = server.client().score(from_text<v1::ScoreRequest>("text: 'the one'"));
  const double perplexity = std::exp(-score->sum_logprob() / score->tokens_size());
  const Finished finished = run(server, {"score", "the one", "--tokens"});
  char expected[64];
  std::snprintf(expected, sizeof expected, "perplexity %.4f", perplexity);
  EXPECT_THAT(finished.out, HasSubstr(expected));
  EXPECT_EQ(std::count(finished.out.begin(), finished.out.end(), '\n'), score->tokens_size() + 1);
  EXPECT_EQ(nlohmann::json::parse(run(server, {"score", "the one", "--json"}).out)["mode"], "w4a16");
}

TEST(TokenizeCommand, ShowsIdsAndPiecesAndBack) {
  LiveServer server;
  const Finished ids = run(server, {"tokenize", "the one", "--ids"});
  EXPECT_EQ(ids.status, 0) << ids.err;
  EXPECT_EQ(run(server, {"detokenize", ids.out.substr(0, ids.out.size() - 1)}).out, "the one\n");
  EXPECT_THAT(run(server, {"tokenize", "the"}).out, HasSubstr("\t\""));
  EXPECT_EQ(run(server, {"tokenize", "the", "--special", "--ids"}).out.substr(0, 2), "1,");
  EXPECT_EQ(nlohmann::json::parse(run(server, {"tokenize", "the", "--chat", "--json"}).out)["rendered"],
            "<|im_start|>user\nthe<|im_end|>\n<|im_start|>assistant\n");
}

TEST(BenchCommand, CountsWhatTheServerCounts) {
  LiveServer server;
  const Finished finished = run(server, {"bench", "--concurrency", "4", "--requests", "12", "--prompt-tokens", "20",
                                         "--max-tokens", "30", "--mode", "w4a16+kv8", "--json"});
  ASSERT_EQ(finished.status, 0) << finished.err;
  const auto json = nlohmann::json::parse(finished.out);
  EXPECT_EQ(json["requests_completed"], 12);
  EXPECT_EQ(json["generated_tokens_total"], 360);
  EXPECT_EQ(json["prompt_tokens_total"], 240);
  EXPECT_EQ(json["mode"], "w4a16+kv8");
  EXPECT_GT(json["ttft_seconds"]["p50"], 0.0);
  EXPECT_EQ(server.metrics.request_count(1, "OK"), 12);
}

TEST(BenchCommand, EachPromptIsFreshAndTheSeedMakesThemAgain) {
  ScriptedServer server;
  server.answer({{.messages = {message_of("x", true)}, .status = absl::OkStatus(), .usage = ""}});
  const auto prompts = [&](const std::string& seed) {
    const size_t before = server.requests().size();
    EXPECT_EQ(run_command({"bench", "--server", server.address(), "--requests", "5", "--seed", seed}).status, 0);
    std::set<std::string> out;
    const auto requests = server.requests();
    for (size_t i = before; i < requests.size(); ++i) out.insert(requests[i].tokens().SerializeAsString());
    return out;
  };
  const auto first = prompts("1");
  EXPECT_EQ(first.size(), 5u);
  EXPECT_EQ(prompts("1"), first);
  EXPECT_NE(prompts("2"), first);
}

TEST(BenchCommand, FailuresAreCountedAndFailIt) {
  LiveServer server;
  const Finished finished = run(server, {"bench", "--requests", "3", "--prompt-tokens", "5000"});
  EXPECT_EQ(finished.status, 1);
  EXPECT_THAT(finished.out, HasSubstr("failed with INVALID_ARGUMENT: 3"));
  EXPECT_THAT(finished.err, HasSubstr("the context is 256"));
}

}  // namespace
}  // namespace halftone
