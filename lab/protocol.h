// How a text's tokens become windows, and which positions of a window count. Row i of a window predicts its token
// i + 1; scored are the rows [first_row, window_tokens - 1). Each window stands alone: nothing is remembered from the
// one before.
//
//   protocol      tokens       BOS, where the checkpoint's tokenizer adds one     scored rows
//   windows       1024 or any  before each window's text                          0 .. n - 2
//   llamacpp512   512          takes the place of each window's first token       256 .. 510
//   gptq2048      2048         before the text, so in the first window alone      0 .. 2046
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/text/tokenizer.h"

namespace halftone {

struct WindowOptions {
  std::string protocol = "windows";
  int64_t window_tokens = 0;  // 0: the protocol's own
  int64_t windows = 4;        // from the text's beginning; 0: all
};

struct TextWindows {
  std::string protocol;
  std::string bos;  // the rule as it was applied, in words
  int64_t window_tokens = 0;
  int64_t first_row = 0;
  std::vector<std::vector<int32_t>> windows;

  int64_t rows_per_window() const { return window_tokens - 1 - first_row; }
  int64_t scored_positions() const { return static_cast<int64_t>(windows.size()) * rows_per_window(); }
  // Of all windows' token ids in order, as little-endian int32: "e0407...".
  std::string sha256() const;
};

// The text's tokens without BOS; `bos` where the tokenizer adds one. INVALID_ARGUMENT: an unknown protocol, a length
// that a protocol does not have, a text that is too short (with the number of windows that it has).
absl::StatusOr<TextWindows> cut_windows(std::span<const int32_t> ids, std::optional<int32_t> bos,
                                        const WindowOptions& options);
// The text is tokenized as a whole.
absl::StatusOr<TextWindows> cut_windows(const Tokenizer& tokenizer, std::string_view text,
                                        const WindowOptions& options);

}  // namespace halftone
