// Chat messages to the text that a checkpoint was trained on. Templates are not interpreted: the known ones are
// recognised by the shape of their Jinja text, and code of ours writes, character by character, what they would.
// Immutable; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/text/tokenizer.h"

namespace halftone {

struct ChatMessage {
  std::string role;     // "system", "user" or "assistant"
  std::string content;  // UTF-8
};

struct ChatStyle;

class ChatTemplate {
 public:
  // bos and eos: the text of these tokens, which templates write by name.
  // FAILED_PRECONDITION, with the list of known ones, for a template that is none of them (and for an empty one).
  static absl::StatusOr<ChatTemplate> recognise(std::string_view jinja, std::string bos, std::string eos);

  std::string_view name() const;         // "chatml", "llama2", "llama3", "mistral" or "zephyr"
  std::string_view end_of_turn() const;  // the text that ends an answer; empty where that is an EOS that there is not

  // INVALID_ARGUMENT: no messages, a role that the template does not know, or an order that it does not allow.
  // Segments: the template's own text is trusted, messages' content is not. Joined, they are the template's output.
  absl::StatusOr<std::vector<TextSegment>> render(const std::vector<ChatMessage>& messages,
                                                  bool add_generation_prompt) const;

 private:
  ChatTemplate(const ChatStyle& style, std::string default_system, std::string bos, std::string eos);
  const ChatStyle* style_;  // a row of the written list of known templates
  std::string default_system_, bos_, eos_;
};

// Tells the vocabulary which tokens a known template steers a chat by, so that they are special ones whatever the
// checkpoint's file says about them. Before Tokenizer::create; nothing for an unknown template.
void mark_chat_tokens(std::string_view jinja, Vocabulary& vocabulary);

// For ChatTemplate::recognise: the texts of BOS and of the checkpoint's own EOS, empty where it has none.
std::string bos_text(const Tokenizer& tokenizer);
std::string eos_text(const Tokenizer& tokenizer);

}  // namespace halftone
