#include "server/source/json_reader.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "server/source/message.h"

namespace halftone {
namespace {

using nlohmann::json;

// "at line 3, column 14"; both count from 1, columns in bytes.
std::string place_of(std::string_view text, size_t position) {
  const std::string_view before = text.substr(0, position);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t begin = before.rfind('\n');
  return message("at line ", line, ", column ", before.size() - (begin == std::string_view::npos ? 0 : begin + 1) + 1);
}

// What Python writes for numbers that JSON does not have, each beside a text of the same length.
struct Literal {
  std::string_view spelled, text;
  double value;
};
constexpr Literal kLiterals[] = {{"NaN", "\"n\"", std::numeric_limits<double>::quiet_NaN()},
                                 {"Infinity", "\"infini\"", std::numeric_limits<double>::infinity()},
                                 {"-Infinity", "\"-infini\"", -std::numeric_limits<double>::infinity()}};

// Looks at brackets, texts and the literals above, outside of texts and without recursion. On what is no JSON it only
// needs to end; the parser says what is wrong.
class Scan {
 public:
  explicit Scan(std::string_view text) : text_(text) {
    for (at_ = 0; at_ < text_.size() && !too_deep_at_;) step();
  }

  std::optional<size_t> too_deep_at() const { return too_deep_at_; }
  // The text as a parser takes it: each literal is a text now.
  std::string_view parsable() const { return literals_.empty() ? text_ : std::string_view(changed_); }
  // The number that the text with this place among all texts stands for.
  std::optional<double> number(size_t text_index) const {
    auto found = std::lower_bound(literals_.begin(), literals_.end(), text_index,
                                  [](const auto& literal, size_t index) { return literal.first < index; });
    return found != literals_.end() && found->first == text_index ? std::optional(found->second) : std::nullopt;
  }

 private:
  void step() {
    const char c = text_[at_];
    if (c == '"') return skip_text();
    if (c == 'N' || c == 'I' || c == '-') {
      for (const Literal& literal : kLiterals) {
        if (text_.substr(at_).starts_with(literal.spelled)) return replace(literal);
      }
    }
    if (c == '[' || c == '{') {
      if (++depth_ > kMaxJsonDepth) too_deep_at_ = at_;
    } else if (c == ']' || c == '}') {
      --depth_;
    }
    ++at_;
  }

  void skip_text() {
    ++texts_;
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) at_ += text_[at_] == '\\';
    ++at_;
  }

  void replace(const Literal& literal) {
    if (literals_.empty()) changed_ = text_;
    changed_.replace(at_, literal.text.size(), literal.text);
    literals_.emplace_back(texts_++, literal.value);
    at_ += literal.spelled.size();
  }

  std::string_view text_;
  std::string changed_;
  size_t at_ = 0, texts_ = 0;
  int64_t depth_ = 0;
  std::optional<size_t> too_deep_at_;
  std::vector<std::pair<size_t, double>> literals_;  // by their place among the texts
};

// Builds the value from the parser's events.
class Builder final : public json::json_sax_t {
 public:
  Builder(const Scan& scan, uint64_t most_values) : scan_(scan), most_values_(most_values) {}

  json take() { return std::move(root_); }
  const std::optional<std::string>& repeated() const { return repeated_; }
  bool too_many() const { return values_ > most_values_; }
  size_t error_at() const { return error_at_; }
  const std::string& error() const { return error_; }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override {
    const std::optional<double> number = scan_.number(texts_++);
    return number ? add(*number) : add(std::move(value));
  }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(json::object()); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (scan_.number(texts_++)) {
      error_ = "expected a text as the key";
      return false;
    }
    auto [place, is_new] = open_.back()->get_ref<json::object_t&>().try_emplace(std::move(name));
    if (!is_new && !repeated_) repeated_ = place->first;
    member_ = &place->second;
    return true;
  }
  bool parse_error(size_t position, const std::string&, const json::exception& exception) override {
    error_at_ = position > 0 ? position - 1 : 0;
    const std::string what = exception.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while ...": the last part.
    const size_t colon = what.find(": ");
    error_ = colon == std::string::npos ? what : what.substr(colon + 2);
    return false;
  }

 private:
  json* place(json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    json& parent = *open_.back();
    if (parent.is_array()) return &parent.get_ref<json::array_t&>().emplace_back(std::move(value));
    return &(*member_ = std::move(value));
  }
  bool add(json value) {
    place(std::move(value));
    return ++values_ <= most_values_;
  }
  bool open(json value) {
    open_.push_back(place(std::move(value)));
    return ++values_ <= most_values_;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  const Scan& scan_;
  const uint64_t most_values_;
  json root_;
  std::vector<json*> open_;  // the last is being filled; each lies in the one before it
  json* member_ = nullptr;   // of the last, where it is an object
  std::optional<std::string> repeated_;
  uint64_t values_ = 0;
  size_t texts_ = 0, error_at_ = 0;
  std::string error_;
};

}  // namespace

absl::StatusOr<json> parse_json_object(std::string_view text, const std::string& file, RepeatedKey repeated,
                                       uint64_t most_values) {
  auto wrong = [&](const auto&... parts) { return absl::InvalidArgumentError(message(file, ": ", parts...)); };
  const Scan scan(text);
  if (std::optional<size_t> at = scan.too_deep_at()) {
    return wrong("nested deeper than ", kMaxJsonDepth, " levels ", place_of(text, *at));
  }
  Builder builder(scan, most_values);
  const std::string_view parsable = scan.parsable();
  if (!json::sax_parse(parsable.begin(), parsable.end(), &builder)) {
    if (builder.too_many()) return wrong("more than ", most_values, " values");
    return wrong("not valid JSON ", place_of(text, builder.error_at()), ": ", shown(builder.error()));
  }
  json value = builder.take();
  if (!value.is_object()) return wrong("expected a JSON object");
  if (repeated == RepeatedKey::kRefused && builder.repeated()) {
    return wrong("the key \"", shown(*builder.repeated()), "\" is there twice");
  }
  return value;
}

}  // namespace halftone
