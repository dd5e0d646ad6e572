// What a known chat template writes around the messages, and the list of known ones. Private to this folder.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/text/chat_template.h"

namespace halftone {

struct ChatStyle {
  enum class Family { kChatml, kLlama2, kLlama3, kMistral, kZephyr };
  enum class Bos { kNone, kOnce, kUnlessAssistantFirst, kEachUser };
  enum class System { kRefused, kFirstUser, kLastMessage };  // kLlama2, kMistral: into which user message it goes

  Family family = Family::kChatml;
  Bos bos = Bos::kNone;
  bool default_system = false;  // the template's own system message, where there is none
  bool always_prompts = false;  // the generation prompt comes whether asked for or not
  // kChatml
  bool eos_after_answer = false;  // after a last assistant message without a generation prompt
  bool open_end = false;          // no end of turn after the last message without a generation prompt (Qwen 1.5)
  bool hides_thoughts = false;    // <think> blocks of earlier answers are left out (Qwen 3)
  // kLlama3
  enum class Date { kNone, kFixed, kToday } date = Date::kNone;  // a system message with dates always stands first
  // kLlama2, kMistral
  System system = System::kRefused;
  std::string_view before_user = {}, after_user = {};
  std::string_view before_answer = {}, after_answer = {}, after_eos = {};  // content, after_answer, EOS, after_eos
  bool strips_users = false, strips_answers = false, strips_system = false;
};

struct ChatWriting {
  const ChatStyle& style;
  const std::string& default_system;
  const std::string& bos;
  const std::string& eos;
  bool add_generation_prompt;
  const std::vector<ChatMessage>& messages;
  std::vector<TextSegment> segments;

  void own(std::string_view text) { add(text, true); }       // the template's own text
  void content(std::string_view text) { add(text, false); }  // what somebody wrote

 private:
  void add(std::string_view text, bool trusted);
};

// One for each family; roles are "system", "user" or "assistant", and there is at least one message.
absl::Status write_chatml(ChatWriting& out);
absl::Status write_llama3(ChatWriting& out);
absl::Status write_zephyr(ChatWriting& out);
absl::Status write_turns(ChatWriting& out);  // kLlama2, kMistral

// What stands at the end of each turn; empty: the checkpoint's EOS. And all that opens and closes turns and roles, BOS
// and EOS excepted, where it is a token.
std::string_view end_of_turn(ChatStyle::Family family);
std::vector<std::string_view> marks_of_turns(ChatStyle::Family family);

// By the shape of a template's text, in which the default system message was replaced by `\4`; null: unknown.
const ChatStyle* find_chat_style(uint64_t shape_digest);

}  // namespace halftone
