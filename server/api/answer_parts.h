// Cuts an answer's delta into messages that every client takes: tokens with their candidates may be many megabytes.
// One answer, one thread at a time.
//
//   (add next+)*      next() while not empty()
#pragma once

#include "halftone/v1/inference.pb.h"
#include "server/api/convert.h"
#include "server/engine/output_stream.h"

namespace halftone {

class AnswerParts {
 public:
  // `style.tokenizer` is borrowed. `part_bytes`: a message takes no more records once it has that many bytes.
  explicit AnswerParts(AnswerStyle style, size_t part_bytes = 512 << 10) : style_(style), part_bytes_(part_bytes) {}

  void add(OutputDelta delta);  // only where it is empty
  bool empty() const { return !full_; }
  // What comes next is added to `out`: first the prompt's tokens, then text with its tokens; finish and receipt are in
  // the last part.
  void next(v1::GenerateResponse* out);

 private:
  // From *from on, as many as fit.
  void take(const std::vector<TokenRecord>& records, size_t* from, size_t* bytes,
            google::protobuf::RepeatedPtrField<v1::TokenInfo>* out) const;

  AnswerStyle style_;
  size_t part_bytes_;
  bool full_ = false;
  OutputDelta delta_;
  size_t prompt_at_ = 0, tokens_at_ = 0, text_at_ = 0;  // gone out already
};

}  // namespace halftone
