#include <algorithm>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "server/text/chat_style.h"
#include "server/text/unicode.h"

namespace halftone {
namespace {

using Bos = ChatStyle::Bos;
using Family = ChatStyle::Family;
using System = ChatStyle::System;

// What Python's str.strip() takes away.
bool strips(const Character& c) {
  return c.bytes > 0 && (c.kind == CharClass::kSpace || (c.code >= 0x1c && c.code <= 0x1f));
}

std::string_view stripped_right(std::string_view text) {
  for (Character c = character_before(text, text.size()); strips(c); c = character_before(text, text.size())) {
    text.remove_suffix(c.bytes);
  }
  return text;
}

std::string_view stripped(std::string_view text) {
  text = stripped_right(text);
  for (Character c = character_at(text, 0); strips(c); c = character_at(text, 0)) text.remove_prefix(c.bytes);
  return text;
}

std::string_view without_breaks_left(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of('\n'), text.size()));
}

std::string_view without_breaks_right(std::string_view text) { return text.substr(0, text.find_last_not_of('\n') + 1); }

// The parts of an answer that a reasoning model wrote, as Qwen 3's template takes them apart.
struct Answer {
  std::string_view thoughts, content;
};

Answer taken_apart(std::string_view text) {
  constexpr std::string_view kOpen = "<think>", kClose = "</think>";
  const size_t close = text.find(kClose);
  if (close == std::string_view::npos) return {"", text};
  std::string_view thoughts = without_breaks_right(text.substr(0, close));
  const size_t open = thoughts.rfind(kOpen);
  if (open != std::string_view::npos) thoughts = thoughts.substr(open + kOpen.size());
  return {without_breaks_left(thoughts), without_breaks_left(text.substr(text.rfind(kClose) + kClose.size()))};
}

// The last real question: what stands behind it still shows its thoughts.
size_t last_question(const std::vector<ChatMessage>& messages) {
  for (size_t i = messages.size(); i-- > 0;) {
    const std::string_view content = messages[i].content;
    const bool tool_answer = content.starts_with("<tool_response>") && content.ends_with("</tool_response>");
    if (messages[i].role == "user" && !tool_answer) return i;
  }
  return messages.size() - 1;
}

void write_thinking(ChatWriting& out, size_t index, size_t question) {
  const Answer answer = taken_apart(out.messages[index].content);
  const bool shown = index > question && (index + 1 == out.messages.size() || !answer.thoughts.empty());
  if (!shown) return out.content(answer.content);
  out.own("<think>\n");
  out.content(without_breaks_right(without_breaks_left(answer.thoughts)));
  out.own("\n</think>\n\n");
  out.content(without_breaks_left(answer.content));
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm date{};
  localtime_r(&now, &date);
  char text[64];
  return std::string(text, std::strftime(text, sizeof(text), "%d %b %Y", &date));
}

absl::Status check_turns(const ChatWriting& out, size_t first) {
  for (size_t i = first; i < out.messages.size(); ++i) {
    const std::string& role = out.messages[i].role;
    if (role == "system") {
      return absl::InvalidArgumentError(
          out.style.system == System::kRefused
              ? absl::StrCat("messages[", i, "]: this model's chat template takes no system messages")
              : absl::StrCat("messages[", i, "]: a system message may only be the first one"));
    }
    const std::string expected = (i - first) % 2 == 0 ? "user" : "assistant";
    if (role != expected) {
      return absl::InvalidArgumentError(absl::StrCat("messages[", i, "].role = \"", role, "\", expected \"", expected,
                                                     "\": user and assistant must take turns, the user first"));
    }
  }
  if (first == out.messages.size()) return absl::InvalidArgumentError("a chat needs a message of role \"user\"");
  return absl::OkStatus();
}

// <<SYS>> stands inside the first user message, and is stripped together with it.
void write_llama2_system(ChatWriting& out, std::string_view system, std::string_view content) {
  out.own("<<SYS>>\n");
  out.content(out.style.strips_system ? stripped(system) : system);
  out.own(content.empty() ? "\n<</SYS>>" : "\n<</SYS>>\n\n");
}

}  // namespace

void ChatWriting::add(std::string_view text, bool trusted) {
  if (text.empty()) return;
  if (segments.empty() || segments.back().parse_special != trusted) segments.push_back({"", trusted});
  segments.back().text += text;
}

absl::Status write_chatml(ChatWriting& out) {
  const ChatStyle& style = out.style;
  const std::string &first = out.messages.front().role, &last = out.messages.back().role;
  const bool with_bos = style.bos == Bos::kOnce || (style.bos == Bos::kUnlessAssistantFirst && first != "assistant");
  if (with_bos) out.own(out.bos);
  if (style.default_system && first != "system") {
    out.own("<|im_start|>system\n" + out.default_system + "<|im_end|>\n");
  }
  const size_t question = last_question(out.messages);
  for (size_t i = 0; i < out.messages.size(); ++i) {
    const ChatMessage& message = out.messages[i];
    out.own("<|im_start|>" + message.role + "\n");
    if (style.hides_thoughts && message.role == "assistant") {
      write_thinking(out, i, question);
    } else {
      out.content(message.content);
    }
    const bool open = style.open_end && i + 1 == out.messages.size() && !out.add_generation_prompt;
    if (!open) out.own("<|im_end|>\n");
  }
  const bool answered = last == "assistant";
  if (out.add_generation_prompt && !(style.open_end && answered)) out.own("<|im_start|>assistant\n");
  if (!out.add_generation_prompt && style.eos_after_answer && answered) out.own(out.eos);
  return absl::OkStatus();
}

absl::Status write_llama3(ChatWriting& out) {
  const auto header = [&](const std::string& role) { out.own("<|start_header_id|>" + role + "<|end_header_id|>\n\n"); };
  out.own(out.bos);
  size_t next = 0;
  if (out.style.date != ChatStyle::Date::kNone) {
    header("system");
    const std::string date = out.style.date == ChatStyle::Date::kToday ? today() : "26 Jul 2024";
    out.own("Cutting Knowledge Date: December 2023\nToday Date: " + date + "\n\n");
    if (out.messages[0].role == "system") out.content(stripped(out.messages[next++].content));
    out.own("<|eot_id|>");
  }
  for (; next < out.messages.size(); ++next) {
    header(out.messages[next].role);
    out.content(stripped(out.messages[next].content));
    out.own("<|eot_id|>");
  }
  if (out.add_generation_prompt || out.style.always_prompts) header("assistant");
  return absl::OkStatus();
}

absl::Status write_zephyr(ChatWriting& out) {
  for (const ChatMessage& message : out.messages) {
    out.own("<|" + message.role + "|>\n");
    out.content(message.content);
    out.own(out.eos + "\n");
  }
  if (out.add_generation_prompt) out.own("<|assistant|>\n");
  return absl::OkStatus();
}

absl::Status write_turns(ChatWriting& out) {
  const ChatStyle& style = out.style;
  const bool own_system = style.system != System::kRefused && out.messages[0].role == "system";
  const size_t first = own_system ? 1 : 0;
  if (auto status = check_turns(out, first); !status.ok()) return status;
  const bool asks_for_none = out.messages[0].content.find("<<SYS>>") != std::string::npos;
  const bool has_system = own_system || (style.default_system && !asks_for_none);
  const std::string& system = own_system ? out.messages[0].content : out.default_system;

  if (style.bos == Bos::kOnce) out.own(out.bos);
  for (size_t i = first; i < out.messages.size(); ++i) {
    std::string_view content = out.messages[i].content;
    if (out.messages[i].role == "assistant") {
      out.own(style.before_answer);
      out.content(style.strips_answers ? stripped(content) : content);
      out.own(std::string(style.after_answer) + out.eos + std::string(style.after_eos));
      continue;
    }
    const size_t place = style.system == System::kFirstUser ? first : out.messages.size() - 1;
    const bool with_system = has_system && i == place;
    if (style.bos == Bos::kEachUser) out.own(out.bos);
    out.own(style.before_user);
    if (style.strips_users) content = with_system ? stripped_right(content) : stripped(content);
    if (with_system && style.family == Family::kLlama2) write_llama2_system(out, system, content);
    if (with_system && style.family == Family::kMistral) {
      out.content(system);
      out.own("\n\n");
    }
    out.content(content);
    out.own(style.after_user);
  }
  return absl::OkStatus();
}

}  // namespace halftone
