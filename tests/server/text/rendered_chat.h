// A rendered chat as one text, and as tokens: no BOS beyond what the template itself writes.
#pragma once

#include <string>
#include <vector>

#include "server/text/chat_template.h"

namespace halftone {

inline absl::StatusOr<std::string> render_text(const ChatTemplate& chat, const std::vector<ChatMessage>& messages,
                                               bool add_generation_prompt) {
  const auto segments = chat.render(messages, add_generation_prompt);
  if (!segments.ok()) return segments.status();
  std::string text;
  for (const TextSegment& segment : *segments) text += segment.text;
  return text;
}

inline absl::StatusOr<std::vector<TokenId>> encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                                        const std::vector<ChatMessage>& messages,
                                                        bool add_generation_prompt) {
  const auto segments = chat.render(messages, add_generation_prompt);
  if (!segments.ok()) return segments.status();
  return tokenizer.encode(*segments);
}

}  // namespace halftone
