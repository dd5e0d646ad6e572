// What the yardstick asks of cuBLASLt is our product: by a stand-in for the library, which computes what it is asked.
#include "kernels/cuda/yardstick.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/contract/numbers.h"

namespace halftone::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr uint16_t kGap = 0x7fc1;  // not a number: nobody may read it

// Small whole numbers, whose sums float32 holds exactly, in rows a little apart.
class Values {
 public:
  Values(int64_t rows, int64_t cols, int64_t gap, uint64_t seed)
      : bits_(static_cast<size_t>(rows * (cols + gap)), kGap),
        tensor_{bits_.data(), DType::kBF16, rows, cols, cols + gap} {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bits(r, c) = bf16_from_f32(static_cast<float>(seed >> 60) - 7);
      }
    }
  }
  const Tensor& tensor() const { return tensor_; }
  uint16_t& bits(int64_t row, int64_t col) { return bits_[static_cast<size_t>(row * tensor_.stride + col)]; }
  float at(int64_t row, int64_t col) { return f32_from_bf16(bits(row, col)); }
  size_t gaps() const { return static_cast<size_t>(std::count(bits_.begin(), bits_.end(), kGap)); }

 private:
  std::vector<uint16_t> bits_;
  Tensor tensor_;
};

class YardstickTest : public testing::Test {
 protected:
  YardstickTest() { fail_in(""); }
  ~YardstickTest() override { fail_in(""); }
  static void fail_in(const std::string& function) { setenv("HALFTONE_STAND_IN_FAILS", function.c_str(), 1); }

  // Of 7 x 5 and 3 tokens. Returns the error, empty where there is none; what nobody could be told went to stderr.
  static std::string multiply_once() {
    std::string why;
    const std::unique_ptr<Yardstick> library = load_yardstick(HALFTONE_STAND_IN, &why);
    if (library == nullptr) return why;
    Values weights(7, 5, 0, 1), x(3, 5, 0, 2), y(3, 7, 0, 3);
    const std::unique_ptr<YardstickProduct> product = library->plan(weights.tensor(), x.tensor(), y.tensor(), {}, &why);
    if (product == nullptr) return why;
    return product->run(weights.tensor().data, x.tensor().data, y.tensor().data, nullptr);
  }
};

using Shape = std::tuple<int64_t, int64_t, int64_t, int64_t>;  // tokens, rows, cols, gap

class YardstickProducts : public YardstickTest, public testing::WithParamInterface<Shape> {};

TEST_P(YardstickProducts, AreOurs) {
  const auto [tokens, rows, cols, gap] = GetParam();
  Values weights(rows, cols, gap, 1), x(tokens, cols, 2 * gap, 2), y(tokens, rows, 3 * gap, 3);
  const size_t gaps = y.gaps();
  std::vector<std::byte> workspace(100);
  std::string why;
  const std::unique_ptr<Yardstick> library = load_yardstick(HALFTONE_STAND_IN, &why);
  ASSERT_NE(library, nullptr) << why;
  EXPECT_EQ(library->name(), HALFTONE_STAND_IN);
  const std::unique_ptr<YardstickProduct> product =
      library->plan(weights.tensor(), x.tensor(), y.tensor(), workspace, &why);
  ASSERT_NE(product, nullptr) << why;
  int stream = 0;
  ASSERT_EQ(product->run(weights.tensor().data, x.tensor().data, y.tensor().data, &stream), "");
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t r = 0; r < rows; ++r) {
      float sum = 0;
      for (int64_t c = 0; c < cols; ++c) sum += weights.at(r, c) * x.at(t, c);
      ASSERT_EQ(y.bits(t, r), bf16_from_f32(sum)) << "token " << t << ", row " << r;
    }
  }
  EXPECT_EQ(y.gaps(), gaps);
  EXPECT_EQ(std::count(workspace.begin(), workspace.end(), std::byte{0x5a}), 100) << "the whole workspace was given";
  void* loaded = dlopen(HALFTONE_STAND_IN, RTLD_NOW | RTLD_NOLOAD);
  ASSERT_NE(loaded, nullptr);
  EXPECT_EQ(*static_cast<void**>(dlsym(loaded, "stand_in_stream")), &stream);
}

INSTANTIATE_TEST_SUITE_P(All, YardstickProducts,
                         testing::Values(Shape{1, 1, 1, 0}, Shape{1, 5, 7, 0}, Shape{1, 33, 17, 3}, Shape{3, 7, 5, 1},
                                         Shape{3, 65, 130, 0}, Shape{16, 130, 65, 5}, Shape{16, 9, 300, 2},
                                         Shape{5, 5, 5, 0}));

TEST_F(YardstickTest, SaysWhichFunctionFailed) {
  ASSERT_EQ(multiply_once(), "");
  for (const std::string function :
       {"cublasLtCreate", "cublasLtMatmulDescCreate", "cublasLtMatmulDescSetAttribute", "cublasLtMatrixLayoutCreate",
        "cublasLtMatmulPreferenceCreate", "cublasLtMatmulPreferenceSetAttribute", "cublasLtMatmulAlgoGetHeuristic",
        "cublasLtMatmul"}) {
    fail_in(function);
    EXPECT_EQ(multiply_once(), function + ": CUBLAS_STATUS_INTERNAL_ERROR");
  }
}

TEST_F(YardstickTest, SaysSoWhereSomethingCannotBeDestroyed) {
  for (const std::string function : {"cublasLtDestroy", "cublasLtMatmulDescDestroy", "cublasLtMatrixLayoutDestroy",
                                     "cublasLtMatmulPreferenceDestroy"}) {
    fail_in(function);
    testing::internal::CaptureStderr();
    EXPECT_EQ(multiply_once(), "");
    EXPECT_THAT(testing::internal::GetCapturedStderr(), StartsWith(function + ": CUBLAS_STATUS_INTERNAL_ERROR\n"));
  }
}

TEST_F(YardstickTest, SaysWhatALibraryLacks) {
  std::string why;
  EXPECT_EQ(load_yardstick(HALFTONE_PART_OF_STAND_IN, &why), nullptr);
  EXPECT_EQ(why, std::string(HALFTONE_PART_OF_STAND_IN) + " has no cublasLtMatmulAlgoGetHeuristic");
}

TEST_F(YardstickTest, SaysInOneLineThatThereIsNoSuchLibrary) {
  std::string why;
  EXPECT_EQ(load_yardstick("/nowhere/libcublasLt.so", &why), nullptr);
  EXPECT_THAT(why, AllOf(StartsWith("/nowhere/libcublasLt.so: "), HasSubstr("No such file"), Not(HasSubstr("\n"))));
}

TEST_F(YardstickTest, RefusesAProductThatDoesNotFit) {
  std::string why;
  const std::unique_ptr<Yardstick> library = load_yardstick(HALFTONE_STAND_IN, &why);
  ASSERT_NE(library, nullptr) << why;
  Values weights(7, 5, 0, 1), x(3, 6, 0, 2), y(3, 7, 0, 3);
  EXPECT_EQ(library->plan(weights.tensor(), x.tensor(), y.tensor(), {}, &why), nullptr);
  EXPECT_EQ(why, "cublasLtMatmulAlgoGetHeuristic: CUBLAS_STATUS_INVALID_VALUE");
}

}  // namespace
}  // namespace halftone::test
