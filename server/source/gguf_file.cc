#include "server/source/gguf_file.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_join.h"
#include "server/source/byte_reader.h"
#include "server/source/message.h"

namespace halftone {
namespace {

enum ValueType : uint32_t { kU8 = 0, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kText, kArray, kU64, kI64, kF64 };

constexpr uint32_t kVersions[] = {2, 3};
constexpr uint32_t kMaxDimensions = 4;
constexpr uint64_t kMaxNameBytes = 1024;
constexpr uint64_t kMaxElements = uint64_t{1} << 40;  // of one tensor: far beyond any model, far below overflow
constexpr int64_t kMaxAlignment = 1 << 20;
constexpr uint64_t kMaxMetadataBytes = uint64_t{128} << 20;
constexpr uint64_t kMaxMetadataElements = uint64_t{1} << 24;  // of all arrays together, at most 32 bytes each
constexpr uint64_t kMaxKeys = uint64_t{1} << 16;
constexpr uint64_t kMaxTensors = uint64_t{1} << 20;

// Where the table of tensors says that one of them lies, before that is checked.
struct Placement {
  GgufTensor tensor;
  uint64_t offset = 0, size = 0;
};

class Parser {
 public:
  Parser(std::span<const uint8_t> bytes, const std::string& file) : bytes_(bytes), reader_(bytes), file_(file) {}

  absl::StatusOr<GgufFile> parse();
  absl::Status parse_metadata();
  GgufMetadata take_metadata() { return std::move(result_.metadata); }

 private:
  absl::Status error(std::string_view text) const { return absl::InvalidArgumentError(message(file_, ": ", text)); }
  absl::Status truncated(std::string_view what) const {
    return error(message("the file ends inside ", what, " (at byte ", reader_.position(), " of ", bytes_.size(), ")"));
  }

  absl::Status parse_header();
  absl::Status parse_key();
  absl::Status parse_value(const std::string& key, uint32_t type);
  absl::Status parse_array(const std::string& key);
  absl::Status parse_tensor(std::set<std::string, std::less<>>& names);
  absl::Status place_tensors();

  absl::Status check_length() const;  // of the metadata so far
  // Before anything is allocated: whether so many elements of at least so many bytes can be there.
  absl::Status check_count(const std::string& key, uint64_t count, uint64_t least_bytes);
  template <typename Stored, typename Kept>
  absl::Status parse_numbers(const std::string& key, uint64_t count);
  template <typename Stored>
  absl::Status parse_integer(const std::string& key);

  std::span<const uint8_t> bytes_;
  ByteReader reader_;
  const std::string& file_;
  uint64_t tensor_count_ = 0, key_count_ = 0, elements_ = 0;
  std::vector<Placement> placements_;
  GgufFile result_;
};

absl::Status Parser::parse_header() {
  std::optional<uint32_t> magic = reader_.read<uint32_t>();
  if (!magic || *magic != 0x46554747u) return error("not a GGUF file: it does not begin with \"GGUF\"");
  std::optional<uint32_t> version = reader_.read<uint32_t>();
  if (!version) return truncated("its header");
  const auto is = [&](uint32_t known) { return *version == known; };
  const auto is_swapped = [&](uint32_t known) { return *version == known << 24; };
  if (std::ranges::any_of(kVersions, is_swapped)) return error("a big-endian GGUF file, expected little-endian");
  if (std::ranges::none_of(kVersions, is)) {
    return error(message("GGUF version ", *version, ", expected one of ", absl::StrJoin(kVersions, ", ")));
  }
  std::optional<uint64_t> tensors = reader_.read<uint64_t>();
  std::optional<uint64_t> keys = reader_.read<uint64_t>();
  if (!tensors || !keys) return truncated("its header");
  tensor_count_ = *tensors;
  key_count_ = *keys;
  // The smallest tensor entry takes 32 bytes, the smallest key 13.
  if (tensor_count_ > bytes_.size() / 32 || key_count_ > bytes_.size() / 13) {
    return error(message("claims ", tensor_count_, " tensors and ", key_count_, " keys in ", bytes_.size(), " bytes"));
  }
  if (tensor_count_ > kMaxTensors || key_count_ > kMaxKeys) {
    return error(message("claims ", tensor_count_, " tensors and ", key_count_, " keys, expected at most ", kMaxTensors,
                         " and ", kMaxKeys));
  }
  return absl::OkStatus();
}

template <typename Stored>
absl::Status Parser::parse_integer(const std::string& key) {
  std::optional<Stored> value = reader_.read<Stored>();
  if (!value) return truncated(message("the value of ", shown(key)));
  if (!std::in_range<int64_t>(*value)) return error(message(shown(key), " = ", *value, " is beyond 2^63"));
  result_.metadata.set(key, static_cast<int64_t>(*value));
  return absl::OkStatus();
}

absl::Status Parser::parse_value(const std::string& key, uint32_t type) {
  switch (type) {
    case kU8:
      return parse_integer<uint8_t>(key);
    case kI8:
      return parse_integer<int8_t>(key);
    case kU16:
      return parse_integer<uint16_t>(key);
    case kI16:
      return parse_integer<int16_t>(key);
    case kU32:
      return parse_integer<uint32_t>(key);
    case kI32:
      return parse_integer<int32_t>(key);
    case kU64:
      return parse_integer<uint64_t>(key);
    case kI64:
      return parse_integer<int64_t>(key);
    default:
      break;
  }
  std::optional<GgufMetadata::Value> value;
  if (type == kF32) {
    if (auto number = reader_.read<float>()) value = static_cast<double>(*number);
  } else if (type == kF64) {
    if (auto number = reader_.read<double>()) value = *number;
  } else if (type == kBool) {
    if (auto byte = reader_.read<uint8_t>()) value = *byte != 0;
  } else if (type == kText) {
    if (auto text = reader_.read_text()) {
      if (absl::Status status = check_length(); !status.ok()) return status;
      value = std::string(*text);
    }
  } else if (type == kArray) {
    return parse_array(key);
  } else {
    return error(message(shown(key), " has the unknown value type ", type));
  }
  if (!value) return truncated(message("the value of ", shown(key)));
  result_.metadata.set(key, *std::move(value));
  return absl::OkStatus();
}

absl::Status Parser::check_length() const {
  if (reader_.position() <= kMaxMetadataBytes) return absl::OkStatus();
  return error(message("the metadata takes more than ", kMaxMetadataBytes, " bytes"));
}

absl::Status Parser::check_count(const std::string& key, uint64_t count, uint64_t least_bytes) {
  if (count > reader_.remaining() / least_bytes) {
    return error(message(shown(key), " claims ", count, " elements, ", reader_.remaining(), " bytes are left"));
  }
  if (count > kMaxMetadataElements - elements_) {
    return error(message(shown(key), " has ", count, " elements and other keys ", elements_, ", expected at most ",
                         kMaxMetadataElements, " in all"));
  }
  elements_ += count;
  return absl::OkStatus();
}

template <typename Stored, typename Kept>
absl::Status Parser::parse_numbers(const std::string& key, uint64_t count) {
  if (absl::Status status = check_count(key, count, sizeof(Stored)); !status.ok()) return status;
  std::vector<Kept> values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    const Stored value = *reader_.read<Stored>();
    if constexpr (std::is_same_v<Stored, uint64_t>) {
      if (!std::in_range<int64_t>(value)) return error(message(shown(key), " holds ", value, ", which is beyond 2^63"));
    }
    values.push_back(static_cast<Kept>(value));
  }
  result_.metadata.set(key, std::move(values));
  return absl::OkStatus();
}

absl::Status Parser::parse_array(const std::string& key) {
  std::optional<uint32_t> type = reader_.read<uint32_t>();
  std::optional<uint64_t> count = reader_.read<uint64_t>();
  if (!type || !count) return truncated(message("the value of ", shown(key)));
  switch (*type) {
    case kU8:
      return parse_numbers<uint8_t, int64_t>(key, *count);
    case kI8:
      return parse_numbers<int8_t, int64_t>(key, *count);
    case kU16:
      return parse_numbers<uint16_t, int64_t>(key, *count);
    case kI16:
      return parse_numbers<int16_t, int64_t>(key, *count);
    case kU32:
      return parse_numbers<uint32_t, int64_t>(key, *count);
    case kI32:
      return parse_numbers<int32_t, int64_t>(key, *count);
    case kU64:
      return parse_numbers<uint64_t, int64_t>(key, *count);
    case kI64:
      return parse_numbers<int64_t, int64_t>(key, *count);
    case kF32:
      return parse_numbers<float, double>(key, *count);
    case kF64:
      return parse_numbers<double, double>(key, *count);
    case kBool:
      return parse_numbers<uint8_t, bool>(key, *count);
    case kText:
      break;
    default:
      return error(message(shown(key), " is an array of the unknown or nested type ", *type));
  }
  if (absl::Status status = check_count(key, *count, sizeof(uint64_t)); !status.ok()) return status;
  std::vector<std::string> texts;
  texts.reserve(*count);
  for (uint64_t i = 0; i < *count; ++i) {
    std::optional<std::string_view> text = reader_.read_text();
    if (!text) return truncated(message("element ", i, " of ", shown(key)));
    if (absl::Status status = check_length(); !status.ok()) return status;
    texts.emplace_back(*text);
  }
  result_.metadata.set(key, std::move(texts));
  return absl::OkStatus();
}

absl::Status Parser::parse_key() {
  std::optional<std::string_view> key = reader_.read_text();
  if (!key) return truncated("the name of a key");
  if (key->empty() || key->size() > kMaxNameBytes) {
    return error(message("the name of a key has ", key->size(), " bytes, expected 1 to ", kMaxNameBytes));
  }
  if (result_.metadata.has(*key)) {
    return error(message("the key ", shown(*key), " is there twice"));
  }
  std::optional<uint32_t> type = reader_.read<uint32_t>();
  if (!type) return truncated(message("the value of ", shown(*key)));
  return parse_value(std::string(*key), *type);
}

absl::Status Parser::parse_tensor(std::set<std::string, std::less<>>& names) {
  std::optional<std::string_view> name = reader_.read_text();
  if (!name) return truncated("the name of a tensor");
  if (name->empty() || name->size() > kMaxNameBytes) {
    return error(message("the name of a tensor has ", name->size(), " bytes, expected 1 to ", kMaxNameBytes));
  }
  const std::string who = message("tensor ", shown(*name));
  if (!names.emplace(*name).second) return error(message(who, " is there twice"));

  std::optional<uint32_t> dimensions = reader_.read<uint32_t>();
  if (!dimensions) return truncated(who);
  if (*dimensions < 1 || *dimensions > kMaxDimensions) {
    return error(message(who, " has ", *dimensions, " dimensions, expected 1 to ", kMaxDimensions));
  }
  uint64_t shape[kMaxDimensions];
  uint64_t elements = 1;
  for (uint32_t d = 0; d < *dimensions; ++d) {
    std::optional<uint64_t> extent = reader_.read<uint64_t>();
    if (!extent) return truncated(who);
    shape[d] = *extent;
    if (*extent == 0 || *extent > kMaxElements / elements) {
      return error(message(who, " has the shape [", absl::StrJoin(shape, shape + d + 1, ", "),
                           "], expected 1 to 2^40 elements"));
    }
    elements *= *extent;
  }
  std::optional<uint32_t> type = reader_.read<uint32_t>();
  std::optional<uint64_t> offset = reader_.read<uint64_t>();
  if (!type || !offset) return truncated(who);

  Placement placement;
  placement.offset = *offset;
  placement.tensor.name = *name;
  placement.tensor.file = file_;
  placement.tensor.type = *type;
  placement.tensor.dimensions = static_cast<int>(*dimensions);
  placement.tensor.cols = static_cast<int64_t>(shape[0]);
  placement.tensor.rows = static_cast<int64_t>(elements / shape[0]);
  placement.tensor.format = find_gguf_tensor_format(*type);
  if (const TensorFormat* format = placement.tensor.format; format != nullptr) {
    std::optional<int64_t> row_bytes = format->row_bytes(placement.tensor.cols);
    if (!row_bytes) {
      return error(message(who, " is ", format->name, " with rows of ", placement.tensor.cols,
                           ", expected a multiple of ", format->block_values));
    }
    placement.size = static_cast<uint64_t>(placement.tensor.rows) * static_cast<uint64_t>(*row_bytes);
  }
  placements_.push_back(std::move(placement));
  return absl::OkStatus();
}

absl::Status Parser::place_tensors() {
  int64_t alignment = 32;
  if (result_.metadata.has("general.alignment")) {
    alignment = result_.metadata.integer("general.alignment").value_or(0);
    if (alignment < 1 || alignment > kMaxAlignment || (alignment & (alignment - 1)) != 0) {
      return error(message("general.alignment = ", alignment, ", expected a power of two up to ", kMaxAlignment));
    }
  }
  const uint64_t step = static_cast<uint64_t>(alignment);
  const uint64_t data_begin = (reader_.position() + step - 1) / step * step;
  const uint64_t data_size = data_begin <= bytes_.size() ? bytes_.size() - data_begin : 0;
  std::vector<const Placement*> in_order;
  for (Placement& placement : placements_) {
    const std::string who = message("tensor ", shown(placement.tensor.name));
    if (placement.offset % step != 0) {
      return error(message(who, " begins at ", placement.offset, ", expected a multiple of ", alignment));
    }
    if (placement.offset > data_size || placement.size > data_size - placement.offset) {
      return error(message(who, " takes ", placement.size, " bytes from ", placement.offset, ", but the file holds ",
                           data_size, " bytes of data"));
    }
    placement.tensor.bytes = bytes_.subspan(data_begin + placement.offset, placement.size);
    if (placement.tensor.format) in_order.push_back(&placement);  // of others nobody knows the size
  }
  std::sort(in_order.begin(), in_order.end(),
            [](const Placement* a, const Placement* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < in_order.size(); ++i) {
    if (in_order[i - 1]->offset + in_order[i - 1]->size > in_order[i]->offset) {
      return error(message("tensors ", shown(in_order[i - 1]->tensor.name), " and ", shown(in_order[i]->tensor.name),
                           " overlap"));
    }
  }
  return absl::OkStatus();
}

absl::Status Parser::parse_metadata() {
  if (absl::Status status = parse_header(); !status.ok()) return status;
  for (uint64_t i = 0; i < key_count_; ++i) {
    if (absl::Status status = parse_key(); !status.ok()) return status;
    if (absl::Status status = check_length(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<GgufFile> Parser::parse() {
  if (absl::Status status = parse_metadata(); !status.ok()) return status;
  std::set<std::string, std::less<>> names;
  for (uint64_t i = 0; i < tensor_count_; ++i) {
    if (absl::Status status = parse_tensor(names); !status.ok()) return status;
  }
  if (absl::Status status = place_tensors(); !status.ok()) return status;
  for (Placement& placement : placements_) result_.tensors.push_back(std::move(placement.tensor));
  return std::move(result_);
}

}  // namespace

absl::StatusOr<GgufFile> parse_gguf(std::span<const uint8_t> bytes, const std::string& file) {
  return Parser(bytes, file).parse();
}

absl::StatusOr<GgufMetadata> parse_gguf_metadata(std::span<const uint8_t> bytes, const std::string& file) {
  Parser parser(bytes, file);
  if (absl::Status status = parser.parse_metadata(); !status.ok()) return status;
  return parser.take_metadata();
}

}  // namespace halftone
