// `halftone chat`: turns, its commands, Ctrl-C.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/client/process.h"
#include "tests/client/scripted_server.h"

namespace halftone {
namespace {

using testing::HasSubstr;

ScriptedAnswer saying(const std::string& text) {
  return {.messages = {message_of(text, true)}, .status = absl::OkStatus(), .usage = ""};
}

// "user: hi, assistant: hello, ..."
std::string turns(const v1::GenerateRequest& request) {
  std::string out;
  for (const v1::Message& message : request.chat().messages()) {
    out += (out.empty() ? "" : ", ") + message.role() + ": " + message.content();
  }
  return out;
}

TEST(ChatCommand, EachTurnCarriesTheWholeConversation) {
  ScriptedServer server;
  server.answer({saying("hello"), saying("fine")});
  const Finished finished =
      run_command({"chat", "--server", server.address(), "-q"}, "hi\n\nhow are you?\n/exit\nnever\n");
  EXPECT_EQ(finished.status, 0) << finished.err;
  EXPECT_EQ(finished.out, "hello\nfine\n");
  ASSERT_EQ(server.requests().size(), 2u);
  EXPECT_EQ(turns(server.requests()[1]), "user: hi, assistant: hello, user: how are you?");
}

TEST(ChatCommand, ResetForgetsAllButTheSystemMessage) {
  ScriptedServer server;
  server.answer({saying("hello")});
  run_command({"chat", "--server", server.address(), "--system", "be brief"}, "hi\n/reset\nagain\n");
  ASSERT_EQ(server.requests().size(), 2u);
  EXPECT_EQ(turns(server.requests()[1]), "system: be brief, user: again");
}

TEST(ChatCommand, TheModeCanBeChangedToAKnownOne) {
  ScriptedServer server;
  server.answer({saying("hello")});
  const Finished finished =
      run_command({"chat", "--server", server.address(), "-q"}, "/mode w2\nhi\n/mode bf16\nhi\n/what\n");
  EXPECT_THAT(finished.out, HasSubstr("the modes are w4a16, bf16"));
  EXPECT_THAT(finished.out, HasSubstr("/exit ends the chat"));
  ASSERT_EQ(server.requests().size(), 2u);
  EXPECT_EQ(server.requests()[0].mode(), "");
  EXPECT_EQ(server.requests()[1].mode(), "bf16");
}

TEST(ChatCommand, AFailedTurnIsToldAndForgotten) {
  ScriptedServer server;
  server.answer(
      {{.messages = {}, .status = absl::ResourceExhaustedError("the queue is full"), .usage = ""}, saying("hello")});
  const Finished finished = run_command({"chat", "--server", server.address(), "-q"}, "one\ntwo\n");
  EXPECT_EQ(finished.status, 0);
  EXPECT_THAT(finished.err, HasSubstr("halftone: RESOURCE_EXHAUSTED: the queue is full"));
  EXPECT_EQ(turns(server.requests()[1]), "user: two");
}

TEST(ChatCommand, AnInterruptStopsTheAnswerAndNotTheChat) {
  ScriptedServer server;
  ScriptedAnswer endless{.messages = {message_of("once upon")}, .status = absl::OkStatus(), .usage = ""};
  endless.waits_for_cancel = true;
  server.answer({endless, saying("yes")});
  Process process({"chat", "--server", server.address(), "-q"});
  process.write("tell me\n");
  process.read_until("once upon");
  process.signal(SIGINT);
  process.write("still there?\n");
  process.read_until("yes");
  process.write("/exit\n");
  EXPECT_EQ(process.wait(), 0) << process.err();
  ASSERT_EQ(server.requests().size(), 2u);
  EXPECT_EQ(turns(server.requests()[1]), "user: tell me, assistant: once upon, user: still there?");
}

TEST(ChatCommand, AnInterruptBetweenAnswersOnlySaysHowToLeave) {
  ScriptedServer server;
  server.answer({saying("hello")});
  Process process({"chat", "--server", server.address(), "-q"});
  process.write("hi\n");
  process.read_until("hello");
  process.read_until("\n");
  process.signal(SIGINT);
  EXPECT_THAT(process.read_until("/exit ends the chat"), HasSubstr("/exit ends the chat"));
  EXPECT_EQ(process.wait(), 0);
}

}  // namespace
}  // namespace halftone
