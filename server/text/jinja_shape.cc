#include "server/text/jinja_shape.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"

namespace halftone {
namespace {

constexpr char kWrite = '\1', kEnd = '\2', kStatement = '\3';
constexpr std::string_view kMarks = "\1\2\3\4";  // with the one that chat_template.cc puts in

bool is_word(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; }
bool is_space(char c) { return absl::ascii_isspace(static_cast<unsigned char>(c)); }

struct Token {
  bool text = false;  // a string literal
  std::string value;
  bool operator==(const Token&) const = default;
};

// The string literal at `at`, which it moves behind; nothing if it does not end.
std::optional<std::string> read_literal(std::string_view code, size_t& at) {
  const char quote = code[at++];
  std::string value;
  while (at < code.size() && code[at] != quote) {
    if (code[at] == '\\' && at + 1 < code.size()) {
      const char c = code[++at];
      if (c != 'n' && c != 't' && c != 'r' && c != '\\' && c != '\'' && c != '"') value += '\\';
      value += c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
    } else {
      value += code[at];
    }
    ++at;
  }
  if (at == code.size()) return std::nullopt;
  ++at;
  return value;
}

std::optional<std::vector<Token>> tokens_of(std::string_view code) {
  std::vector<Token> tokens;
  for (size_t at = 0; at < code.size();) {
    if (is_space(code[at])) {
      ++at;
    } else if (code[at] == '\'' || code[at] == '"') {
      auto value = read_literal(code, at);
      if (!value) return std::nullopt;
      tokens.push_back({true, *std::move(value)});
    } else {
      const size_t begin = at++;
      if (is_word(code[begin])) {
        while (at < code.size() && is_word(code[at])) ++at;
      } else if (at < code.size() && code[at] == '=') {
        ++at;  // == != <= >=
      }
      tokens.push_back({false, std::string(code.substr(begin, at - begin))});
    }
  }
  return tokens;
}

bool is_name(const std::string& text) {
  return !text.empty() && !absl::ascii_isdigit(static_cast<unsigned char>(text[0])) &&
         std::all_of(text.begin(), text.end(), is_word);
}

std::string joined(const std::vector<Token>& tokens) {
  std::string code;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const Token& token = tokens[i];
    const bool index = !token.text && token.value == "[" && i + 2 < tokens.size() && tokens[i + 1].text &&
                       is_name(tokens[i + 1].value) && tokens[i + 2] == Token{false, "]"} && i > 0;
    if (index) {
      code += "." + tokens[i + 1].value;
      i += 2;
    } else if (token.text && i >= 2 && tokens[i - 2].value == "raise_exception") {
      code += "''";  // how an error is put makes no difference
    } else if (token.text) {
      code += "'" + token.value + "'";
    } else {
      if (!code.empty() && is_word(code.back()) && is_word(token.value[0])) code += ' ';
      code += token.value;
    }
  }
  return code;
}

// {{ a + 'b' + c }} -> a, 'b' and c, where nothing but + joins them; else the whole.
std::vector<std::vector<Token>> summands(const std::vector<Token>& tokens) {
  std::vector<std::vector<Token>> parts(1);
  int depth = 0;
  for (const Token& token : tokens) {
    static constexpr std::string_view kOthers[] = {"if", "else", "and", "or", "not", "in", "is",
                                                   "~",  "-",    "*",   "/",  "%",   "==", "!="};
    if (!token.text && (token.value == "(" || token.value == "[" || token.value == "{")) ++depth;
    if (!token.text && (token.value == ")" || token.value == "]" || token.value == "}")) --depth;
    const bool other =
        !token.text && std::find(std::begin(kOthers), std::end(kOthers), token.value) != std::end(kOthers);
    if (depth == 0 && other) return {tokens};
    if (depth == 0 && token == Token{false, "+"}) {
      parts.emplace_back();
    } else {
      parts.back().push_back(token);
    }
  }
  return parts;
}

void add_written(const std::vector<Token>& tokens, std::string& shape) {
  for (const auto& part : summands(tokens)) {
    if (part.size() == 1 && part[0].text) {
      shape += part[0].value;
    } else {
      shape += kWrite + joined(part) + kEnd;
    }
  }
}

// Where the tag that begins before `at` ends ("}}", "%}", "#}"); strings inside it may hold anything.
size_t end_of_tag(std::string_view jinja, size_t at, char mark) {
  for (; at + 1 < jinja.size(); ++at) {
    if (mark != '#' && (jinja[at] == '\'' || jinja[at] == '"')) {
      if (!read_literal(jinja, at)) return std::string_view::npos;
      --at;
    } else if (jinja[at] == mark && jinja[at + 1] == '}') {
      return at;
    }
  }
  return std::string_view::npos;
}

// Plain text between two tags, as Jinja leaves it.
struct Layout {
  bool strip_left = false;   // the tag before says so with a minus
  bool after_block = false;  // trim_blocks: the first line break goes
  bool line_starts = true;   // lstrip_blocks: nothing but this text stands before the tag on its line
};

std::string_view laid_out(std::string_view text, Layout layout, std::string_view next_tag) {
  if (layout.strip_left) {
    while (!text.empty() && is_space(text.front())) {
      layout.line_starts = text.front() == '\n';
      text.remove_prefix(1);
    }
  } else if (layout.after_block && !text.empty() && text.front() == '\n') {
    text.remove_prefix(1);
    layout.line_starts = true;
  }
  if (next_tag.size() < 3) return text;
  if (next_tag[2] == '-') {
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  } else if (next_tag[1] != '{' && next_tag[2] != '+') {
    const size_t line = text.rfind('\n') + 1;
    const auto blank = text.substr(line);
    const bool only_blank = std::all_of(blank.begin(), blank.end(), is_space);
    if (only_blank && (line > 0 || layout.line_starts)) text = text.substr(0, line);
  }
  return text;
}

size_t next_tag(std::string_view jinja, size_t at) {
  for (at = jinja.find('{', at); at != std::string_view::npos; at = jinja.find('{', at + 1)) {
    if (at + 1 < jinja.size() && (jinja[at + 1] == '{' || jinja[at + 1] == '%' || jinja[at + 1] == '#')) return at;
  }
  return jinja.size();
}

}  // namespace

std::string jinja_shape(std::string_view jinja) {
  if (jinja.find_first_of(kMarks) != std::string_view::npos) return "";  // they would pass for a shape's own
  if (!jinja.empty() && jinja.back() == '\n') jinja.remove_suffix(1);    // Jinja drops the last one
  std::string shape;
  Layout layout;
  for (size_t at = 0; at < jinja.size();) {
    const size_t tag = next_tag(jinja, at);
    shape += laid_out(jinja.substr(at, tag - at), layout, jinja.substr(tag));
    if (tag == jinja.size()) break;
    const char kind = jinja[tag + 1], mark = kind == '{' ? '}' : kind;
    const size_t begin = tag + 2, end = end_of_tag(jinja, begin, mark);
    if (end == std::string_view::npos) return "";
    std::string_view code = jinja.substr(begin, end - begin);
    layout = {code.ends_with('-'), kind != '{' && !code.ends_with('+'), false};
    if (code.starts_with('-') || code.starts_with('+')) code.remove_prefix(1);
    if (code.ends_with('-') || code.ends_with('+')) code.remove_suffix(1);
    at = end + 2;
    if (kind == '#') continue;
    const auto tokens = tokens_of(code);
    if (!tokens) return "";
    if (kind == '{') {
      add_written(*tokens, shape);
    } else {
      shape += kStatement + joined(*tokens) + kEnd;
    }
  }
  return shape;
}

uint64_t shape_digest(std::string_view shape) {
  uint64_t digest = 0xcbf29ce484222325;
  for (const char c : shape) digest = (digest ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return digest;
}

}  // namespace halftone
