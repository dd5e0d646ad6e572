// What a checkpoint says about its tokens, whichever file it came from: GGUF metadata or tokenizer.json.
// A plain value: sources fill it, Tokenizer reads it. Nothing here is checked; Tokenizer::create checks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace halftone {

using TokenId = int32_t;

struct Vocabulary {
  enum class Kind { kByteLevelBpe, kSentencePieceBpe };
  enum class PieceType : uint8_t { kNormal, kUnknown, kControl, kUserDefined, kUnused, kByte };

  // A token that is matched in the raw text before anything else sees it.
  struct AddedToken {
    std::string content;
    TokenId id = 0;
    bool special = false;  // not shown in decoded text; matched only where special tokens are parsed
    bool lstrip = false;   // swallows white space on its left
    bool rstrip = false;
    bool single_word = false;
    bool normalized = false;
  };

  Kind kind = Kind::kByteLevelBpe;
  // How text is cut before merging: "gpt2", "smollm", "llama3", "qwen2" or "tekken" (pre_tokenizer.h).
  // Of a pattern that no reader recognises, the pattern itself: it ends up in the error message.
  std::string pre_tokenizer;
  std::vector<std::string> pieces;  // by id; in the file's spelling (byte-level alphabet, or U+2581 for a space)
  std::vector<PieceType> types;     // by id, or empty: all normal
  std::vector<float> scores;        // by id; SentencePiece without merges only: the better score merges first
  std::vector<std::pair<std::string, std::string>> merges;  // in order of rank
  std::vector<AddedToken> added;
  bool byte_fallback = false;  // SentencePiece: what has no piece is spelled in <0xNN>
  // SentencePiece: a space goes before the text, and before each stretch of text that follows a special token.
  bool add_space_prefix = false;
  bool space_prefix_first_only = false;  // newer files: only before the very first text
  bool space_prefix_if_missing = false;  // newer files: not where a space stands there already
  bool ignore_merges = false;            // Llama 3, tekken: a word that is itself a piece is taken whole
  bool nfc_normalize = false;            // Qwen 2: text is brought to Unicode NFC first

  // Texts whose tokens steer a chat by its template; the second ones end an answer, too. Such a token is special
  // whatever the file says about it, and so are BOS and EOS. mark_chat_tokens (chat_template.h) fills them.
  std::vector<std::string> chat_marks, chat_ends;

  std::optional<TokenId> bos, unknown, pad;
  std::vector<TokenId> eos;  // every id that ends an answer
  bool add_bos = false;      // put before a raw text prompt
};

}  // namespace halftone
