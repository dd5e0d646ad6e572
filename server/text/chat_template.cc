#include "server/text/chat_template.h"

#include <algorithm>
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
constexpr size_t kMaxTemplateBytes = 64 << 10;  // more than ten times the longest known one

// Where something stands next; asked for places that only go forward, so that all answers together are one pass.
template <class Find>
class Next {
 public:
  explicit Next(Find find) : find_(find) {}
  size_t from(size_t at) {
    if (place_ < at || !asked_) place_ = find_(at);
    asked_ = true;
    return place_;
  }

 private:
  Find find_;
  size_t place_ = 0;
  bool asked_ = false;
};

// Takes the template's own system message out of its shape, wherever it stands.
std::string take_default_system(std::string& shape) {
  constexpr std::pair<std::string_view, std::string_view> kAround[] = {{"<|im_start|>system\n", "<|im_end|>"},
                                                                       {"\3set system_message='", "'\2"}};
  for (const auto& [before, after] : kAround) {
    Next ending([&, after = after](size_t from) { return shape.find(after, from); });
    // What cannot be part of a message: marks of the shape, and sums.
    Next mark([&](size_t from) { return shape.find_first_of("\1\2\3\4", from); });
    Next sum([&](size_t from) { return std::min(shape.find("'+", from), shape.find("+'", from)); });
    for (size_t at = shape.find(before); at != std::string::npos; at = shape.find(before, at + 1)) {
      const size_t begin = at + before.size(), end = ending.from(begin);
      if (end == std::string::npos) break;
      if (end == begin || mark.from(begin) < end || sum.from(begin) < end - 1) continue;
      std::string text = shape.substr(begin, end - begin);
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

struct Recognised {
  const ChatStyle* style = nullptr;  // null: unknown
  uint64_t digest = 0;
  std::string default_system;
};

Recognised find_style(std::string_view jinja) {
  Recognised found;
  std::string shape = jinja_shape(jinja);
  found.default_system = take_default_system(shape);
  found.digest = shape_digest(shape);
  if (!shape.empty()) found.style = find_chat_style(found.digest);
  return found;
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
  if (jinja.size() > kMaxTemplateBytes) {
    return absl::FailedPreconditionError(
        absl::StrFormat("the checkpoint's chat template has %d bytes, a known one at most %d; known ones: %s; raw text "
                        "still works",
                        jinja.size(), kMaxTemplateBytes, known_templates()));
  }
  Recognised found = find_style(jinja);
  if (found.style == nullptr) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "the checkpoint's chat template (shape %016x) is not known; known ones: %s; raw text still works", found.digest,
        known_templates()));
  }
  return ChatTemplate(*found.style, std::move(found.default_system), std::move(bos), std::move(eos));
}

std::string_view ChatTemplate::end_of_turn() const {
  const std::string_view own = halftone::end_of_turn(style_->family);
  return own.empty() ? std::string_view(eos_) : own;
}

void mark_chat_tokens(std::string_view jinja, Vocabulary& vocabulary) {
  if (jinja.empty() || jinja.size() > kMaxTemplateBytes) return;
  const ChatStyle* style = find_style(jinja).style;
  if (style == nullptr) return;
  for (const std::string_view mark : marks_of_turns(style->family)) vocabulary.chat_marks.emplace_back(mark);
  const std::string_view end = halftone::end_of_turn(style->family);
  if (!end.empty()) vocabulary.chat_ends.emplace_back(end);
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

std::string bos_text(const Tokenizer& tokenizer) {
  return tokenizer.bos() ? std::string(tokenizer.piece(*tokenizer.bos())) : "";
}

std::string eos_text(const Tokenizer& tokenizer) {
  return tokenizer.eos().empty() ? "" : std::string(tokenizer.piece(tokenizer.eos()[0]));
}

}  // namespace halftone
