#include "server/text/chat_template.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/text/chat_style.h"
#include "server/text/jinja_shape.h"
#include "server/text/spelling.h"

namespace halftone {
namespace {

using Family = ChatStyle::Family;

constexpr const char* kNames[] = {"chatml", "llama2", "llama3", "mistral", "zephyr"};  // by Family
constexpr size_t kMaxTemplateBytes = 1 << 20;

// Takes the template's own system message out of its shape, wherever it stands.
std::string take_default_system(std::string& shape) {
  constexpr std::pair<std::string_view, std::string_view> kAround[] = {{"<|im_start|>system\n", "<|im_end|>"},
                                                                       {"\3set system_message='", "'\2"}};
  for (const auto& [before, after] : kAround) {
    for (size_t at = shape.find(before); at != std::string::npos; at = shape.find(before, at + 1)) {
      const size_t begin = at + before.size(), end = shape.find(after, begin);
      if (end == std::string::npos || end == begin) continue;
      std::string text = shape.substr(begin, end - begin);
      const bool computed = text.find("'+") != std::string::npos || text.find("+'") != std::string::npos;
      if (computed || text.find_first_of("\1\2\3\4") != std::string::npos) continue;
      std::string without;
      size_t rest = 0;
      for (size_t i = shape.find(text); i != std::string::npos; i = shape.find(text, rest)) {
        without.append(shape, rest, i - rest).push_back('\4');
        rest = i + text.size();
      }
      shape = without.append(shape, rest);
      return text;
    }
  }
  return "";
}

std::string known_templates() {
  std::string names;
  for (const char* name : kNames) absl::StrAppend(&names, names.empty() ? "" : ", ", name);
  return names;
}

}  // namespace

ChatTemplate::ChatTemplate(const ChatStyle& style, std::string default_system, std::string bos, std::string eos)
    : style_(&style), default_system_(std::move(default_system)), bos_(std::move(bos)), eos_(std::move(eos)) {}

absl::StatusOr<ChatTemplate> ChatTemplate::recognise(std::string_view jinja, std::string bos, std::string eos) {
  if (jinja.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the checkpoint has no chat template (known ones: ", known_templates(), "); raw text still works"));
  }
  std::string shape = jinja.size() <= kMaxTemplateBytes ? jinja_shape(jinja) : "";
  std::string default_system = take_default_system(shape);
  const ChatStyle* style = find_chat_style(shape_digest(shape));
  if (shape.empty() || style == nullptr) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "the checkpoint's chat template (shape %016x) is not known; known ones: %s; raw text still works",
        shape_digest(shape), known_templates()));
  }
  return ChatTemplate(*style, std::move(default_system), std::move(bos), std::move(eos));
}

std::string_view ChatTemplate::name() const { return kNames[static_cast<size_t>(style_->family)]; }

absl::StatusOr<std::vector<TextSegment>> ChatTemplate::render(const std::vector<ChatMessage>& messages,
                                                              bool add_generation_prompt) const {
  if (messages.empty()) return absl::InvalidArgumentError("messages is empty: a chat needs at least one");
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string& role = messages[i].role;
    if (role != "system" && role != "user" && role != "assistant") {
      return absl::InvalidArgumentError(absl::StrCat("messages[", i, "].role = ", quoted_piece(role),
                                                     "; known roles: \"system\", \"user\", \"assistant\""));
    }
  }
  ChatWriting out{*style_, default_system_, bos_, eos_, add_generation_prompt, messages, {}};
  constexpr decltype(&write_chatml) kWriters[] = {write_chatml, write_turns, write_llama3, write_turns, write_zephyr};
  const absl::Status status = kWriters[static_cast<size_t>(style_->family)](out);
  if (!status.ok()) return status;
  return std::move(out.segments);
}

absl::StatusOr<std::string> ChatTemplate::render_text(const std::vector<ChatMessage>& messages,
                                                      bool add_generation_prompt) const {
  const auto segments = render(messages, add_generation_prompt);
  if (!segments.ok()) return segments.status();
  std::string text;
  for (const TextSegment& segment : *segments) text += segment.text;
  return text;
}

std::string bos_text(const Tokenizer& tokenizer) {
  return tokenizer.bos() ? std::string(tokenizer.piece(*tokenizer.bos())) : "";
}

std::string eos_text(const Tokenizer& tokenizer) {
  return tokenizer.eos().empty() ? "" : std::string(tokenizer.piece(tokenizer.eos()[0]));
}

absl::StatusOr<std::vector<TokenId>> encode_chat(const Tokenizer& tokenizer, const ChatTemplate& chat,
                                                 const std::vector<ChatMessage>& messages, bool add_generation_prompt) {
  const auto segments = chat.render(messages, add_generation_prompt);
  if (!segments.ok()) return segments.status();
  return tokenizer.encode(*segments);
}

}  // namespace halftone
