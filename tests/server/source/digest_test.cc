#include "server/source/digest.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "kernels/contract/check.h"
#include "server/source/tensor_format.h"

namespace halftone {
namespace {

// Zeros that take memory only where they are written to.
class Zeros {
 public:
  explicit Zeros(size_t size) : size_(size) {
    void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    HALFTONE_CHECK(data != MAP_FAILED);
    bytes_ = static_cast<uint8_t*>(data);
  }
  ~Zeros() { munmap(bytes_, size_); }
  std::span<const uint8_t> span() const { return {bytes_, size_}; }
  uint8_t& operator[](size_t i) { return bytes_[i]; }

 private:
  uint8_t* bytes_;
  size_t size_;
};

std::string digest_of(std::span<const uint8_t> bytes) {
  TensorPlace place{"m", "t", find_tensor_format("F32"), 1, static_cast<int64_t>(bytes.size() / 4), 1, bytes, 0};
  return source_digest(ModelSpec{}, {{"embedding", place}});
}

TEST(Digest, EveryByteCountsUpToOneGibibyte) {
  Zeros zeros(4 << 20);
  const std::string before = digest_of(zeros.span());
  for (size_t at : {size_t{0}, size_t{100'000}, size_t{3'500'001}, size_t{(4 << 20) - 1}}) {
    zeros[at] = 1;
    EXPECT_NE(digest_of(zeros.span()), before) << at;
    zeros[at] = 0;
  }
  EXPECT_EQ(digest_of(zeros.span()), before);
}

TEST(Digest, OfMoreOnlySamplesCount) {
  const size_t size = (size_t{1} << 30) + (4 << 20);
  Zeros zeros(size);
  const std::string before = digest_of(zeros.span());
  for (size_t sampled : {size_t{0}, size_t{65535}, (size_t{1} << 20) * 500, size - 1}) {
    zeros[sampled] = 1;
    EXPECT_NE(digest_of(zeros.span()), before) << sampled;
    zeros[sampled] = 0;
  }
  zeros[65536] = 1;
  EXPECT_EQ(digest_of(zeros.span()), before) << "as the header says";
}

TEST(Digest, NameTypeAndShapeCount) {
  Zeros zeros(1024);
  TensorPlace place{"m", "t", find_tensor_format("F32"), 16, 16, 2, zeros.span(), 0};
  const std::string before = source_digest(ModelSpec{}, {{"embedding", place}});
  EXPECT_NE(source_digest(ModelSpec{}, {{"head", place}}), before);
  place.rows = 8, place.cols = 32;
  EXPECT_NE(source_digest(ModelSpec{}, {{"embedding", place}}), before);
  place.rows = 16, place.cols = 16, place.interleaved_head = 4;
  EXPECT_NE(source_digest(ModelSpec{}, {{"embedding", place}}), before);
  ModelSpec other;
  other.dim = 7;
  place.interleaved_head = 0;
  EXPECT_NE(source_digest(other, {{"embedding", place}}), before);
}

}  // namespace
}  // namespace halftone
