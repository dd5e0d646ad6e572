// Reads little-endian values from bytes that nobody vouches for: never past the end, and says where it stopped.
// One thread; the bytes must outlive it.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

namespace halftone {

static_assert(std::endian::native == std::endian::little, "checkpoints are little-endian and read as they lie");

class ByteReader {
 public:
  explicit ByteReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }

  template <typename T>
  std::optional<T> read() {
    static_assert(std::is_arithmetic_v<T>);
    if (remaining() < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  // A length in 64 bits, then that many bytes.
  std::optional<std::string_view> read_text() {
    std::optional<uint64_t> length = read<uint64_t>();
    if (!length || *length > remaining()) return std::nullopt;
    std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + position_, *length);
    position_ += *length;
    return text;
  }

 private:
  std::span<const uint8_t> bytes_;
  uint64_t position_ = 0;
};

}  // namespace halftone
