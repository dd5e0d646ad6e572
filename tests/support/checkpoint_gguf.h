// Writes GGUF v3, key by key and tensor by tensor, also such as no honest program would write. Tests only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace halftone {

class GgufBytes {
 public:
  void key_text(std::string_view key, std::string_view value);
  void key_u32(std::string_view key, uint32_t value);
  void key_u64(std::string_view key, uint64_t value);
  void key_f32(std::string_view key, float value);
  void key_bool(std::string_view key, bool value);
  void key_texts(std::string_view key, const std::vector<std::string>& values);
  void key_i32s(std::string_view key, const std::vector<int32_t>& values);
  void key_raw(std::string_view key, uint32_t type, std::string_view value);  // value as it lies in the file

  // shape as the file has it: the inputs first. Data is placed behind what is there, aligned to 32.
  void tensor(std::string_view name, std::vector<uint64_t> shape, uint32_t type, std::string_view data);
  // An entry that says where it lies, truly or not.
  void tensor_at(std::string_view name, std::vector<uint64_t> shape, uint32_t type, uint64_t offset);

  std::string bytes() const;  // the whole file
  uint32_t version = 3;
  uint64_t extra_tensors = 0, extra_keys = 0;  // claimed beyond what is there

 private:
  std::string keys_, entries_, data_;
  uint64_t key_count_ = 0, tensor_count_ = 0;
};

// GGUF's number for a type's name: "Q4_1" is 3.
uint32_t gguf_type_number(std::string_view type);

// Replaces the file. A failure to write ends the test.
void write_test_file(const std::string& path, std::string_view bytes);

}  // namespace halftone
