// `halftone modes` and `halftone compare` against a whole server in this process.
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

// Every mode says "e" for ever, and the second one "t" from its third token on.
void say_e_and_t(LiveServer& server) {
  server.executor.choose([](ModeIndex mode, std::span<const int32_t> content) {
    const bool third = content.size() >= 2 && content[content.size() - 2] == kFakeFirstWord &&
                       content[content.size() - 1] == kFakeFirstWord;
    return mode == 1 && third ? kFakeFirstWord + 1 : kFakeFirstWord;
  });
}

Finished run(const std::string& address, std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--server", address});
  return run_command(std::move(arguments));
}

TEST(ModesCommand, ShowsWhatEachModeDidSoFar) {
  LiveServer server;
  say_e_and_t(server);
  const Finished before = run(server.address(), {"modes"});
  EXPECT_EQ(before.status, 0) << before.err;
  EXPECT_THAT(before.out, HasSubstr("w4a16+kv8"));
  ASSERT_TRUE(server.client().generate(text_request("the", 8)).ok());
  const auto json = nlohmann::json::parse(run(server.address(), {"modes", "--json"}).out);
  EXPECT_EQ(json["default_mode"], "w4a16");
  EXPECT_EQ(json["modes"][0]["served"]["generated_tokens"], "8");
  EXPECT_GT(json["modes"][0]["served"]["mean_ttft_seconds"], 0.0);
  EXPECT_FALSE(json["modes"][1]["served"].contains("mean_ttft_seconds")) << "it did nothing";
  EXPECT_FALSE(json["modes"][0].contains("quality"));
  EXPECT_NE(run(server.address(), {"modes"}).out, before.out);
}

TEST(CompareCommand, AsksEveryModeOfTheServerAndShowsWhereTheyDiffer) {
  LiveServer server;
  say_e_and_t(server);
  const Finished finished = run(server.address(), {"compare", "!!", "--max-tokens", "5"});
  EXPECT_EQ(finished.status, 0) << finished.err;
  EXPECT_THAT(finished.out, HasSubstr("== w4a16\neeeee\n"));
  EXPECT_THAT(finished.out, HasSubstr("== w4a16+kv8\neet"));
  EXPECT_THAT(finished.out, HasSubstr("token 2 is \"t\" where w4a16 has \"e\""));
  EXPECT_THAT(finished.out, HasSubstr("differs at"));
}

TEST(CompareCommand, TakesTheModesThatAreNamedInTheirOrder) {
  LiveServer server;
  say_e_and_t(server);
  const Finished finished =
      run(server.address(), {"compare", "!!", "--max-tokens", "4", "--modes", "w4a16+kv8,w4a16", "--json"});
  ASSERT_EQ(finished.status, 0) << finished.err;
  const auto json = nlohmann::json::parse(finished.out);
  EXPECT_EQ(json["first_mode"], "w4a16+kv8");
  ASSERT_EQ(json["answers"].size(), 2u);
  EXPECT_EQ(json["answers"][1]["text"], "eeee");
  EXPECT_EQ(json["answers"][1]["first_difference"]["index"], 2);
  EXPECT_EQ(json["answers"][1]["first_difference"]["piece"], "e");
  EXPECT_GT(json["answers"][1]["ttft_seconds"], 0.0);
  EXPECT_GT(json["answers"][1]["peak_kv_bytes"], 0);
}

TEST(CompareCommand, AModeThatIsNotThereIsToldBeforeAnythingRuns) {
  LiveServer server;
  const Finished finished = run(server.address(), {"compare", "the", "--modes", "w4a16,w2"});
  EXPECT_EQ(finished.status, 1);
  EXPECT_EQ(finished.out, "");
  EXPECT_THAT(finished.err, HasSubstr("NOT_FOUND: --modes names \"w2\"; the server has w4a16, w4a16+kv8"));
  EXPECT_EQ(server.executor.steps(), 0);
}

TEST(CompareCommand, IsGreedyAndFindsNoPromptInTheCache) {
  ScriptedServer server;
  server.answer({{.messages = {message_of("x", true)}, .status = absl::OkStatus(), .usage = ""}});
  ASSERT_EQ(run(server.address(), {"compare", "the"}).status, 0);
  ASSERT_EQ(run(server.address(), {"compare", "the", "--chat"}).status, 0);
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 4u);
  std::set<std::string> salts;
  for (const v1::GenerateRequest& request : requests) {
    EXPECT_TRUE(request.sampling().has_temperature());
    EXPECT_EQ(request.sampling().temperature(), 0);
    EXPECT_TRUE(request.output().receipt());
    salts.insert(request.scheduling().cache_salt());
  }
  EXPECT_EQ(salts.size(), 2u) << "one of its own for each comparison";
  EXPECT_EQ(requests[0].mode(), "w4a16");
  EXPECT_EQ(requests[1].mode(), "bf16");
  EXPECT_EQ(requests[2].chat().messages(0).content(), "the");
}

TEST(CompareCommand, ASeedThatTheServerDrewDrawsForAllModes) {
  v1::GenerateResponse first = message_of("x", true);
  first.set_request_id("r");
  first.set_seed(77);
  ScriptedServer server;
  server.answer({{.messages = {first}, .status = absl::OkStatus(), .usage = ""}});
  ASSERT_EQ(run(server.address(), {"compare", "the", "--temperature", "1"}).status, 0);
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_FALSE(requests[0].sampling().has_seed());
  EXPECT_EQ(requests[1].sampling().seed(), 77u);
}

TEST(CompareCommand, AnErrorEndsItAndKeepsWhatCameBefore) {
  ScriptedServer server;
  server.answer({{.messages = {message_of("xyz", true)}, .status = absl::OkStatus(), .usage = ""},
                 {.messages = {}, .status = absl::InternalError("the device failed"), .usage = ""}});
  const Finished finished = run(server.address(), {"compare", "the"});
  EXPECT_EQ(finished.status, 1);
  EXPECT_THAT(finished.out, HasSubstr("xyz"));
  EXPECT_THAT(finished.out, Not(HasSubstr("differs at")));
  EXPECT_THAT(finished.err, HasSubstr("INTERNAL: the device failed"));
}

TEST(CompareCommand, InterruptedItCancelsAndAsksNoOtherMode) {
  LiveOptions options;
  options.executor.sleeps = true;
  options.executor.modes[0].step_time = 20'000'000;
  LiveServer server(options);
  say_e_and_t(server);
  Process process({"compare", "!!", "--max-tokens", "200", "--server", server.address()});
  process.read_until("ee");
  process.signal(SIGINT);
  EXPECT_EQ(process.wait(), 130);
  EXPECT_TRUE(server.eventually([&] { return server.metrics.request_count(0, "CANCELLED") == 1 && server.idle(); }));
  EXPECT_EQ(server.metrics.totals(1).generated_tokens, 0);
}

}  // namespace
}  // namespace halftone
