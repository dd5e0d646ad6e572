#include "server/source/safetensors_file.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "server/source/byte_reader.h"
#include "server/source/json_fields.h"
#include "server/source/message.h"

namespace halftone {
namespace {

constexpr uint64_t kMaxHeaderBytes = uint64_t{100} << 20;
constexpr int64_t kMaxElements = int64_t{1} << 40;
constexpr size_t kMaxDimensions = 8;

absl::Status tensor_error(const std::string& file, std::string_view name, std::string_view text) {
  return absl::InvalidArgumentError(message(file, ": tensor ", shown(name), " ", text));
}

absl::StatusOr<nlohmann::json> parse_header(std::span<const uint8_t> bytes, const std::string& file) {
  ByteReader reader(bytes);
  std::optional<uint64_t> length = reader.read<uint64_t>();
  if (!length) return absl::InvalidArgumentError(message(file, ": ", bytes.size(), " bytes are no safetensors file"));
  if (*length > reader.remaining() || *length > kMaxHeaderBytes) {
    return absl::InvalidArgumentError(message(file, ": claims a header of ", *length, " bytes, expected at most ",
                                              std::min(reader.remaining(), kMaxHeaderBytes)));
  }
  const char* text = reinterpret_cast<const char*>(bytes.data()) + reader.position();
  return parse_json_object(std::string_view(text, *length), file);
}

// "dtype" and "shape"; dimensions multiplied with a watch on overflow.
absl::Status read_type_and_shape(const nlohmann::json& entry, const std::string& file, SafeTensor& tensor) {
  auto dtype = entry.find("dtype");
  if (dtype == entry.end() || !dtype->is_string()) return tensor_error(file, tensor.name, "has no dtype");
  tensor.dtype = dtype->get<std::string>();
  const TensorFormat* format = find_tensor_format(tensor.dtype);
  tensor.format = format && format->block_values == 1 ? format : nullptr;
  auto shape = entry.find("shape");
  if (shape == entry.end() || !shape->is_array() || shape->size() > kMaxDimensions) {
    return tensor_error(file, tensor.name, "has no shape, expected a list of integers");
  }
  int64_t elements = 1;
  for (const nlohmann::json& extent : *shape) {
    std::optional<int64_t> value = json_integer(extent);
    if (!value || *value <= 0 || *value > kMaxElements / elements) {
      return tensor_error(file, tensor.name, "has an impossible shape, expected 1 to 2^40 elements");
    }
    elements *= *value;
    tensor.cols = *value;
  }
  tensor.rows = elements / tensor.cols;
  tensor.dimensions = static_cast<int>(shape->size());
  return absl::OkStatus();
}

absl::Status read_place(const nlohmann::json& entry, std::span<const uint8_t> data, const std::string& file,
                        SafeTensor& tensor) {
  auto offsets = entry.find("data_offsets");
  std::optional<int64_t> begin, end;
  if (offsets != entry.end() && offsets->is_array() && offsets->size() == 2) {
    begin = json_integer((*offsets)[0]);
    end = json_integer((*offsets)[1]);
  }
  if (!begin || !end || *begin < 0 || *end < *begin) {
    return tensor_error(file, tensor.name, "has no data_offsets, expected [begin, end]");
  }
  if (static_cast<uint64_t>(*end) > data.size()) {
    return tensor_error(file, tensor.name,
                        message("ends at byte ", *end, ", but the file holds ", data.size(), " bytes of data"));
  }
  if (tensor.format && *end - *begin != tensor.rows * *tensor.format->row_bytes(tensor.cols)) {
    return tensor_error(
        file, tensor.name,
        message("takes ", *end - *begin, " bytes, expected ", tensor.rows * *tensor.format->row_bytes(tensor.cols),
                " for ", tensor.dtype, " [", tensor.rows, ", ", tensor.cols, "]"));
  }
  tensor.bytes = data.subspan(static_cast<size_t>(*begin), static_cast<size_t>(*end - *begin));
  return absl::OkStatus();
}

absl::Status check_overlap(const std::vector<SafeTensor>& tensors, const std::string& file) {
  std::vector<const SafeTensor*> in_order;
  in_order.reserve(tensors.size());
  for (const SafeTensor& tensor : tensors) in_order.push_back(&tensor);
  std::sort(in_order.begin(), in_order.end(),
            [](const SafeTensor* a, const SafeTensor* b) { return a->bytes.data() < b->bytes.data(); });
  for (size_t i = 1; i < in_order.size(); ++i) {
    const std::span<const uint8_t> before = in_order[i - 1]->bytes;
    if (before.data() + before.size() > in_order[i]->bytes.data()) {
      return tensor_error(file, in_order[i]->name, message("overlaps ", shown(in_order[i - 1]->name)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<SafeTensor>> parse_safetensors(std::span<const uint8_t> bytes, const std::string& file) {
  absl::StatusOr<nlohmann::json> header = parse_header(bytes, file);
  if (!header.ok()) return header.status();
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
  const std::span<const uint8_t> data = bytes.subspan(sizeof(header_bytes) + header_bytes);

  std::vector<SafeTensor> tensors;
  for (const auto& [name, entry] : header->items()) {
    if (name == "__metadata__") continue;
    SafeTensor tensor;
    tensor.name = name;
    if (!entry.is_object()) return tensor_error(file, name, "is no JSON object");
    if (absl::Status status = read_type_and_shape(entry, file, tensor); !status.ok()) return status;
    if (absl::Status status = read_place(entry, data, file, tensor); !status.ok()) return status;
    tensors.push_back(std::move(tensor));
  }
  if (absl::Status status = check_overlap(tensors, file); !status.ok()) return status;
  return tensors;
}

}  // namespace halftone
