#include "tests/support/checkpoint_gguf.h"

#include <fstream>

#include "kernels/contract/check.h"

namespace halftone {
namespace {

constexpr size_t kAlignment = 32;

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void put_text(std::string& out, std::string_view text) {
  put<uint64_t>(out, text.size());
  out.append(text);
}

void pad(std::string& out) { out.resize((out.size() + kAlignment - 1) / kAlignment * kAlignment, '\0'); }

template <typename T>
std::string raw(T value) {
  std::string out;
  put(out, value);
  return out;
}

}  // namespace

void GgufBytes::key_raw(std::string_view key, uint32_t type, std::string_view value) {
  put_text(keys_, key);
  put(keys_, type);
  keys_.append(value);
  ++key_count_;
}

void GgufBytes::key_text(std::string_view key, std::string_view value) {
  std::string text;
  put_text(text, value);
  key_raw(key, 8, text);
}

void GgufBytes::key_u32(std::string_view key, uint32_t value) { key_raw(key, 4, raw(value)); }
void GgufBytes::key_u64(std::string_view key, uint64_t value) { key_raw(key, 10, raw(value)); }
void GgufBytes::key_f32(std::string_view key, float value) { key_raw(key, 6, raw(value)); }
void GgufBytes::key_bool(std::string_view key, bool value) { key_raw(key, 7, raw(static_cast<uint8_t>(value))); }

void GgufBytes::key_texts(std::string_view key, const std::vector<std::string>& values) {
  std::string array = raw<uint32_t>(8) + raw<uint64_t>(values.size());
  for (const std::string& value : values) put_text(array, value);
  key_raw(key, 9, array);
}

void GgufBytes::key_i32s(std::string_view key, const std::vector<int32_t>& values) {
  std::string array = raw<uint32_t>(5) + raw<uint64_t>(values.size());
  for (int32_t value : values) put(array, value);
  key_raw(key, 9, array);
}

void GgufBytes::tensor(std::string_view name, std::vector<uint64_t> shape, uint32_t type, std::string_view data) {
  pad(data_);
  tensor_at(name, std::move(shape), type, data_.size());
  data_.append(data);
}

void GgufBytes::tensor_at(std::string_view name, std::vector<uint64_t> shape, uint32_t type, uint64_t offset) {
  put_text(entries_, name);
  put(entries_, static_cast<uint32_t>(shape.size()));
  for (uint64_t extent : shape) put(entries_, extent);
  put(entries_, type);
  put(entries_, offset);
  ++tensor_count_;
}

std::string GgufBytes::bytes() const {
  std::string out = "GGUF";
  put(out, version);
  put(out, tensor_count_ + extra_tensors);
  put(out, key_count_ + extra_keys);
  out += keys_ + entries_;
  pad(out);
  return out + data_;
}

uint32_t gguf_type_number(std::string_view type) {
  constexpr struct {
    std::string_view name;
    uint32_t number;
  } kTypes[] = {{"F32", 0},  {"F16", 1},  {"Q4_0", 2},  {"Q4_1", 3},  {"Q5_0", 6},
                {"Q5_1", 7}, {"Q8_0", 8}, {"Q4_K", 12}, {"Q6_K", 14}, {"BF16", 30}};
  for (const auto& known : kTypes) {
    if (known.name == type) return known.number;
  }
  HALFTONE_CHECK(false);
}

void write_test_file(const std::string& path, std::string_view bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  HALFTONE_CHECK(file.good());
}

}  // namespace halftone
