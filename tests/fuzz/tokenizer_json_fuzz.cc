// Any text as tokenizer.json and, behind a zero byte, tokenizer_config.json: what is accepted makes a tokenizer that
// stays inside its vocabulary, or is refused by it.
#include <cstdint>
#include <string_view>

#include "kernels/contract/check.h"
#include "server/source/tokenizer_json.h"
#include "server/text/chat_template.h"
#include "server/text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t zero = text.find('\0');
  const std::string_view config = zero == std::string_view::npos ? "" : text.substr(zero + 1);
  auto files = halftone::read_tokenizer_json(text.substr(0, zero), config);
  if (!files.ok()) return 0;
  const auto tokenizer = halftone::Tokenizer::create(std::move(files->vocabulary));
  if (!tokenizer.ok()) return 0;
  const auto ids = (*tokenizer)->encode(text.substr(0, 4096), {.add_special = true, .parse_special = true});
  for (const halftone::TokenId id : ids) HALFTONE_CHECK((*tokenizer)->contains(id));
  (*tokenizer)->decode(ids, false);
  (void)halftone::ChatTemplate::recognise(files->chat_template, bos_text(**tokenizer), eos_text(**tokenizer)).status();
  return 0;
}
