// Chat messages to the text that a checkpoint was trained on. Templates are not interpreted: the known ones are
// recognised from their Jinja text and rendered by code of ours, character by character as the template itself would.
// Immutable; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/text/tokenizer.h"

namespace halftone {

struct ChatMessage {
  std::string role;     // "system", "user", "assistant"
  std::string content;  // UTF-8
};

// What a template writes around the messages; recognise() finds it out. Plain value.
struct ChatStyle {
  enum class Family { kChatml, kLlama2, kLlama3, kMistral, kZephyr };
  Family family = Family::kChatml;
  std::string default_system;  // written where the first message is no system message; empty: nothing
  bool begins_with_bos = false;
  bool always_prompts = false;    // the generation prompt is written whether asked for or not
  bool trims = false;             // white space around a message's content goes away
  bool last_end_of_text = false;  // EOS after a last assistant message, where no generation prompt follows
  std::string before_user = "[INST] ", after_user = " [/INST]";  // kLlama2, kMistral
  std::string before_answer = "", after_answer = "";             // kLlama2, kMistral; EOS stands between
  bool takes_system = true;
};

class ChatTemplate {
 public:
  // bos and eos: the text of these tokens, which templates write by name.
  // FAILED_PRECONDITION, with the list of known ones, for a template that is none of them (and for an empty one).
  static absl::StatusOr<ChatTemplate> recognise(std::string_view jinja, std::string bos, std::string eos);

  std::string_view name() const;  // "chatml", "llama2", "llama3", "mistral" or "zephyr"

  // INVALID_ARGUMENT: no messages, a role that the template does not know, or an order that it does not allow.
  // Segments: the template's own text is trusted, messages' content is not. Joined, they are the template's output.
  absl::StatusOr<std::vector<TextSegment>> render(const std::vector<ChatMessage>& messages,
                                                  bool add_generation_prompt) const;
  absl::StatusOr<std::string> render_text(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const;

 private:
  ChatStyle style_;
  std::string bos_, eos_;
};

// Tokens of a rendered chat. No BOS beyond what the template itself writes.
absl::StatusOr<std::vector<TokenId>> encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                                 const std::vector<ChatMessage>& messages, bool add_generation_prompt);

}  // namespace halftone
