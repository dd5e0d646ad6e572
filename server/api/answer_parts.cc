#include "server/api/answer_parts.h"

#include <algorithm>
#include <utility>

#include "kernels/contract/check.h"

namespace halftone {
namespace {

// Where a part of the text ends: at most `bytes` from `at`, and never inside a character.
size_t text_end(const std::string& text, size_t at, size_t bytes) {
  if (text.size() - at <= bytes) return text.size();
  size_t end = at + std::max<size_t>(bytes, 4);
  if (end >= text.size()) return text.size();
  while ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return end;
}

}  // namespace

void AnswerParts::add(OutputDelta delta) {
  HALFTONE_CHECK(empty());
  delta_ = std::move(delta);
  prompt_at_ = tokens_at_ = text_at_ = 0;
  full_ = true;
}

void AnswerParts::take(const std::vector<TokenRecord>& records, size_t* from, size_t* bytes,
                       google::protobuf::RepeatedPtrField<v1::TokenInfo>* out) const {
  for (; *from < records.size() && *bytes < part_bytes_; ++*from) {
    v1::TokenInfo* token = out->Add();
    fill_token(records[*from], style_.tokenizer, token);
    *bytes += token->ByteSizeLong();
  }
}

void AnswerParts::next(v1::GenerateResponse* out) {
  size_t bytes = 0;
  take(delta_.prompt_tokens, &prompt_at_, &bytes, out->mutable_prompt_tokens());
  if (prompt_at_ < delta_.prompt_tokens.size()) return;
  if (bytes < part_bytes_) {
    const size_t end = text_end(delta_.text, text_at_, part_bytes_ - bytes);
    out->mutable_text()->append(delta_.text, text_at_, end - text_at_);
    bytes += end - text_at_;
    text_at_ = end;
  }
  take(delta_.tokens, &tokens_at_, &bytes, out->mutable_tokens());
  if (text_at_ < delta_.text.size() || tokens_at_ < delta_.tokens.size()) return;
  if (delta_.finish) *out->mutable_finish() = to_wire(*delta_.finish);
  if (delta_.receipt && style_.receipt) *out->mutable_receipt() = to_wire(*delta_.receipt, style_.shows_work);
  delta_ = {};
  full_ = false;
}

}  // namespace halftone
