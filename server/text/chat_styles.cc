#include <algorithm>

#include "server/text/chat_style.h"

namespace halftone {
namespace {

using Family = ChatStyle::Family;
using Bos = ChatStyle::Bos;
using System = ChatStyle::System;

constexpr ChatStyle kPlain{};
constexpr ChatStyle kPlainBos{.bos = Bos::kOnce};
constexpr ChatStyle kWithSystem{.default_system = true};
constexpr ChatStyle kQwen15{.default_system = true, .open_end = true};
constexpr ChatStyle kQwen3{.hides_thoughts = true};
constexpr ChatStyle kWithBos{.bos = Bos::kUnlessAssistantFirst, .eos_after_answer = true};

constexpr ChatStyle kLlama3{.family = Family::kLlama3, .bos = Bos::kOnce};
constexpr ChatStyle kLlama3Prompting{.family = Family::kLlama3, .bos = Bos::kOnce, .always_prompts = true};
constexpr ChatStyle kLlama31{.family = Family::kLlama3, .bos = Bos::kOnce, .date = ChatStyle::Date::kFixed};
constexpr ChatStyle kLlama32{.family = Family::kLlama3, .bos = Bos::kOnce, .date = ChatStyle::Date::kToday};

constexpr ChatStyle kZephyr{.family = Family::kZephyr};

constexpr ChatStyle llama2(Bos bos, bool default_system, bool strips_system) {
  return {.family = Family::kLlama2,
          .bos = bos,
          .default_system = default_system,
          .system = System::kFirstUser,
          .before_user = "[INST] ",
          .after_user = " [/INST]",
          .before_answer = " ",
          .after_answer = " ",
          .strips_users = true,
          .strips_answers = true,
          .strips_system = strips_system};
}
constexpr ChatStyle kLlama2 = llama2(Bos::kEachUser, false, false);
constexpr ChatStyle kLlama2Stripped = llama2(Bos::kEachUser, false, true);
constexpr ChatStyle kLlama2Default = llama2(Bos::kEachUser, true, false);
constexpr ChatStyle kLlama2DefaultOnce = llama2(Bos::kOnce, true, false);

constexpr ChatStyle kMistral1{.family = Family::kMistral,
                              .bos = Bos::kOnce,
                              .before_user = "[INST] ",
                              .after_user = " [/INST]",
                              .after_eos = " "};
constexpr ChatStyle kMixtral{
    .family = Family::kMistral, .bos = Bos::kOnce, .before_user = "[INST] ", .after_user = " [/INST]"};
constexpr ChatStyle kMistral2{.family = Family::kMistral,
                              .bos = Bos::kOnce,
                              .system = System::kFirstUser,
                              .before_user = " [INST] ",
                              .after_user = " [/INST]",
                              .before_answer = " "};
constexpr ChatStyle kMistral3{.family = Family::kMistral,
                              .bos = Bos::kOnce,
                              .system = System::kLastMessage,
                              .before_user = "[INST] ",
                              .after_user = "[/INST]",
                              .before_answer = " ",
                              .strips_answers = true};
constexpr ChatStyle kNemo{.family = Family::kMistral,
                          .bos = Bos::kOnce,
                          .system = System::kLastMessage,
                          .before_user = "[INST]",
                          .after_user = "[/INST]"};

struct Known {
  uint64_t digest;
  const ChatStyle* style;
};

// One row for each shape; a template of another shape is not known, however similar it looks.
constexpr Known kKnown[] = {
    {0xec2e7afdb6002a65, &kPlain},  // OpenHermes 2.5 and many others
    {0x5b868fde7a477ae7, &kPlain},  // Dolphin 2.5: the same behind a default for add_generation_prompt
    {0x9aef02249c2814c6, &kPlainBos},
    {0xce7ac26c2f879476, &kWithSystem},  // SmolLM2, Qwen 2
    {0x351fd1493a7ba0ec, &kWithSystem},
    {0x5ca24a42b8045148, &kWithSystem},         // Qwen 2.5
    {0x02e7525326544707, &kQwen15},             // Qwen 1.5
    {0x1bc6971d23cca345, &kQwen3},              // Qwen 3
    {0x78ae6082ff714ba9, &kWithBos},            // InternLM 2, Zephyr Gemma
    {0x1e81026162c1ff36, &kLlama2},             // Llama 2 Chat
    {0x5b601d021102d42b, &kLlama2},             // the same with a default that is switched off by its name
    {0xdd96279460983060, &kLlama2},             // ... by a constant
    {0x9ffee64390750a0f, &kLlama2Stripped},     // Code Llama Instruct
    {0xc07867b883556d83, &kLlama2Default},      // with a system message of its own
    {0x15aaeea93a186b43, &kLlama2DefaultOnce},  // Vigogne 2
    {0x2d31a3ed3d17a69a, &kLlama3},             // Llama 3 Instruct
    {0xa0986683eed09efa, &kLlama3},
    {0x71837967b754addc, &kLlama3},
    {0xd221b42742509970, &kLlama3Prompting},  // Llama 3 Instruct, first edition
    {0xaaec1334c0c4096f, &kLlama31},          // Llama 3.1 Instruct
    {0x07338dfb89ed2afd, &kLlama32},          // Llama 3.2 Instruct
    {0x3904ba2a54aa4681, &kMistral1},         // Mistral Instruct 0.1
    {0x6bccc9daadf742f7, &kMixtral},          // Mixtral Instruct 0.1, Mistral Instruct 0.2
    {0x9cc55c2fa03c7f09, &kMistral2},         // Mistral Instruct 0.2, second edition
    {0x25f29d6cfa707ff4, &kMistral3},         // Mistral Instruct 0.3
    {0x05c582c8077fe466, &kNemo},             // Mistral Nemo Instruct
    {0xc73fbcdd975954c0, &kZephyr},           // Zephyr, TinyLlama Chat
};

}  // namespace

std::string_view end_of_turn(Family family) {
  if (family == Family::kChatml) return "<|im_end|>";
  return family == Family::kLlama3 ? "<|eot_id|>" : "";
}

std::vector<std::string_view> marks_of_turns(Family family) {
  switch (family) {
    case Family::kChatml:
      return {"<|im_start|>", "<|im_end|>"};
    case Family::kLlama2:
      return {"[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"};
    case Family::kLlama3:
      return {"<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
              "<|eot_id|>",        "<|eom_id|>",      "<|python_tag|>"};
    case Family::kMistral:
      return {"[INST]",         "[/INST]",         "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
              "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]"};
    case Family::kZephyr:
      return {"<|system|>", "<|user|>", "<|assistant|>"};
  }
  return {};
}

const ChatStyle* find_chat_style(uint64_t shape_digest) {
  const auto* found =
      std::find_if(std::begin(kKnown), std::end(kKnown), [&](const Known& k) { return k.digest == shape_digest; });
  return found == std::end(kKnown) ? nullptr : found->style;
}

}  // namespace halftone
