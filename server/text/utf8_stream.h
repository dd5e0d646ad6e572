// Turns token pieces into text that never ends inside a character. One stream per answer; one thread at a time.
// Bytes that can't become a character turn into U+FFFD, one for each maximal broken part, as Python's
// bytes.decode("utf-8", "replace") does; the sum of all outputs equals that of the joined input.
#pragma once

#include <string>
#include <string_view>

namespace halftone {

class Utf8Stream {
 public:
  // drop_leading_space: for a text decoded from its very first token (Tokenizer::drops_leading_space). An answer that
  // continues a prompt keeps its space.
  explicit Utf8Stream(bool drop_leading_space = false) : drop_space_(drop_leading_space) {}

  // The characters that are complete now; at most 3 bytes stay inside.
  std::string push(std::string_view bytes);
  // The end: what is left is broken, so "" or one U+FFFD. The stream can be used again, as new but without the rule
  // for a leading space.
  std::string flush();
  bool empty() const { return held_.empty(); }  // nothing is held back

 private:
  std::string held_;  // a beginning of one character
  bool drop_space_;
};

// The whole text at once.
std::string utf8_with_replacement(std::string_view bytes);

}  // namespace halftone
