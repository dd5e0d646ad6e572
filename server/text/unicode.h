// The little of Unicode that tokenizers need: characters, their classes and composition. Pure functions; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace halftone {

enum class CharClass : uint8_t { kLetter, kNumber, kSpace, kOther };  // \p{L}, \p{N}, White_Space, the rest

struct Character {
  uint32_t code = 0;  // kBroken: the byte begins no character
  size_t bytes = 0;   // 0 only at the end of the text
  CharClass kind = CharClass::kOther;
};
inline constexpr uint32_t kBroken = 0xffffffff;

// The character at `begin`. A byte that begins no UTF-8 character comes alone, as kBroken.
Character character_at(std::string_view text, size_t begin);

// The character that ends right before `end`, by the same rules.
Character character_before(std::string_view text, size_t end);

// Where a character may stand in a word that goes from capitals to small letters: letters that have no case and marks
// may stand on both sides.
bool is_capital_side(const Character& c);  // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
bool is_small_side(const Character& c);    // [\p{Ll}\p{Lm}\p{Lo}\p{M}]

bool is_word_character(const Character& c);  // as \w: letters, marks, digits, connectors

// Unicode NFC; broken bytes stay as they are. n log n, whatever marks are heaped up.
std::string compose(std::string_view text);

}  // namespace halftone
