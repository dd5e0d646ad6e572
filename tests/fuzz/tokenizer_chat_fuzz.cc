// Any text as a chat template: it is refused, or it renders every chat or says why not. Behind a zero byte: what the
// messages say.
#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/contract/check.h"
#include "server/text/chat_template.h"
#include "server/text/jinja_shape.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const size_t zero = text.find('\0');
  const std::string content = zero == std::string::npos ? "" : text.substr(zero + 1);
  const auto chat = halftone::ChatTemplate::recognise(text.substr(0, zero), "<s>", "</s>");
  if (!chat.ok()) return 0;
  for (const bool prompt : {false, true}) {
    const auto one = chat->render({{"user", content}}, prompt);
    HALFTONE_CHECK(one.ok());
    for (const halftone::TextSegment& segment : *one) HALFTONE_CHECK(!segment.text.empty());
    (void)chat->render({{"system", content}, {"user", content}, {"assistant", content}}, prompt).status();
  }
  return 0;
}
