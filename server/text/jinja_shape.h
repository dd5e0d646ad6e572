// The shape of a Jinja template: what it writes and what it decides, without how it is laid out and quoted. Two
// templates of the same shape render the same text. Pure functions; any thread. Private to this folder.
//
// A shape is plain text with tags in it: `\1` expression `\2` for what is written, `\3` statement `\2` for a statement.
// White space control, line breaks that Jinja drops (trim_blocks, lstrip_blocks, as chat templates are rendered),
// comments, quotes, escapes, white space inside tags, m['x'] or m.x, and 'a' + b or a tag of its own are all evened
// out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace halftone {

// Empty for a text that is no template (a tag that does not end, or a byte from 1 to 4 anywhere).
std::string jinja_shape(std::string_view jinja);

uint64_t shape_digest(std::string_view shape);  // FNV-1a, 64 bits

}  // namespace halftone
