#include <cublasLt.h>
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <utility>

#include "kernels/contract/check.h"
#include "kernels/cuda/yardstick.h"

namespace halftone {
namespace {

constexpr const char* kUsualNames[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"};

struct StatusName {
  cublasStatus_t status;
  const char* name;
};
constexpr StatusName kStatuses[] = {
    {CUBLAS_STATUS_NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED"},
    {CUBLAS_STATUS_ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED"},
    {CUBLAS_STATUS_INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE"},
    {CUBLAS_STATUS_ARCH_MISMATCH, "CUBLAS_STATUS_ARCH_MISMATCH"},
    {CUBLAS_STATUS_MAPPING_ERROR, "CUBLAS_STATUS_MAPPING_ERROR"},
    {CUBLAS_STATUS_EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED"},
    {CUBLAS_STATUS_INTERNAL_ERROR, "CUBLAS_STATUS_INTERNAL_ERROR"},
    {CUBLAS_STATUS_NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED"},
    {CUBLAS_STATUS_LICENSE_ERROR, "CUBLAS_STATUS_LICENSE_ERROR"},
};

std::string status_name(cublasStatus_t status) {
  for (const StatusName& known : kStatuses) {
    if (known.status == status) return known.name;
  }
  return "status " + std::to_string(status);
}

template <typename Signature>
struct Function {
  const char* name;
  Signature* address = nullptr;

  // Empty, or the function's name and what it answered.
  template <typename... Arguments>
  std::string call(Arguments... arguments) const {
    const cublasStatus_t status = address(arguments...);
    return status == CUBLAS_STATUS_SUCCESS ? "" : std::string(name) + ": " + status_name(status);
  }
};

// What is used of the library.
struct Functions {
  Function<decltype(cublasLtCreate)> create{"cublasLtCreate"};
  Function<decltype(cublasLtDestroy)> destroy{"cublasLtDestroy"};
  Function<decltype(cublasLtMatmulDescCreate)> create_operation{"cublasLtMatmulDescCreate"};
  Function<decltype(cublasLtMatmulDescSetAttribute)> set_operation{"cublasLtMatmulDescSetAttribute"};
  Function<decltype(cublasLtMatmulDescDestroy)> destroy_operation{"cublasLtMatmulDescDestroy"};
  Function<decltype(cublasLtMatrixLayoutCreate)> create_layout{"cublasLtMatrixLayoutCreate"};
  Function<decltype(cublasLtMatrixLayoutDestroy)> destroy_layout{"cublasLtMatrixLayoutDestroy"};
  Function<decltype(cublasLtMatmulPreferenceCreate)> create_preference{"cublasLtMatmulPreferenceCreate"};
  Function<decltype(cublasLtMatmulPreferenceSetAttribute)> set_preference{"cublasLtMatmulPreferenceSetAttribute"};
  Function<decltype(cublasLtMatmulPreferenceDestroy)> destroy_preference{"cublasLtMatmulPreferenceDestroy"};
  Function<decltype(cublasLtMatmulAlgoGetHeuristic)> choose{"cublasLtMatmulAlgoGetHeuristic"};
  Function<decltype(cublasLtMatmul)> multiply{"cublasLtMatmul"};

  // Null, or the name of the first one that is not there.
  const char* find_all(void* library) {
    const char* missing = nullptr;
    auto find = [&](auto&... functions) { (find_one(library, functions, missing), ...); };
    find(create, destroy, create_operation, set_operation, destroy_operation, create_layout, destroy_layout,
         create_preference, set_preference, destroy_preference, choose, multiply);
    return missing;
  }

 private:
  template <typename Signature>
  static void find_one(void* library, Function<Signature>& function, const char*& missing) {
    function.address = reinterpret_cast<Signature*>(dlsym(library, function.name));
    if (function.address == nullptr && missing == nullptr) missing = function.name;
  }
};

// Where nobody can be told otherwise.
void complain(const std::string& error) {
  if (!error.empty()) std::fprintf(stderr, "%s\n", error.c_str());
}

class CublasLtProduct final : public YardstickProduct {
 public:
  CublasLtProduct(const Functions& functions, cublasLtHandle_t library, std::span<std::byte> workspace)
      : functions_(functions), library_(library), workspace_(workspace) {}
  ~CublasLtProduct() override {
    for (cublasLtMatrixLayout_t layout : {weights_, x_, y_}) {
      if (layout != nullptr) complain(functions_.destroy_layout.call(layout));
    }
    if (operation_ != nullptr) complain(functions_.destroy_operation.call(operation_));
    if (preference_ != nullptr) complain(functions_.destroy_preference.call(preference_));
  }

  // Empty, or what went wrong.
  std::string plan(const Tensor& weights, const Tensor& x, const Tensor& y) {
    describe(weights, &weights_);
    describe(x, &x_);
    describe(y, &y_);
    const cublasOperation_t transposed = CUBLAS_OP_T, as_it_is = CUBLAS_OP_N;
    call(functions_.create_operation, &operation_, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    set(functions_.set_operation, operation_, CUBLASLT_MATMUL_DESC_TRANSA, transposed);
    set(functions_.set_operation, operation_, CUBLASLT_MATMUL_DESC_TRANSB, as_it_is);
    const uint64_t most_bytes = workspace_.size();
    call(functions_.create_preference, &preference_);
    set(functions_.set_preference, preference_, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most_bytes);
    choose();
    return error_;
  }

  std::string run(const void* weights, const void* x, void* y, void* stream) override {
    const float one = 1, zero = 0;
    return functions_.multiply.call(library_, operation_, &one, weights, weights_, x, x_, &zero, y, y_, y, y_,
                                    &algorithm_, static_cast<void*>(workspace_.data()), workspace_.size(),
                                    static_cast<cudaStream_t>(stream));
  }

 private:
  template <typename Signature, typename... Arguments>
  void call(const Function<Signature>& function, Arguments... arguments) {
    if (error_.empty()) error_ = function.call(arguments...);
  }
  template <typename Signature, typename Object, typename Attribute, typename Value>
  void set(const Function<Signature>& function, Object object, Attribute attribute, const Value& value) {
    call(function, object, attribute, &value, sizeof value);
  }
  // The library counts columns first: our rows are its columns.
  void describe(const Tensor& tensor, cublasLtMatrixLayout_t* layout) {
    HALFTONE_CHECK(tensor.dtype == DType::kBF16);
    call(functions_.create_layout, layout, CUDA_R_16BF, static_cast<uint64_t>(tensor.cols),
         static_cast<uint64_t>(tensor.rows), tensor.stride);
  }
  void choose() {
    cublasLtMatmulHeuristicResult_t best = {};
    int count = 0;
    call(functions_.choose, library_, operation_, weights_, x_, y_, y_, preference_, 1, &best, &count);
    if (!error_.empty()) return;
    if (count == 0) error_ = std::string(functions_.choose.name) + ": it has no kernel for this product";
    if (best.state != CUBLAS_STATUS_SUCCESS) error_ = functions_.choose.name + (": " + status_name(best.state));
    algorithm_ = best.algo;
  }

  const Functions& functions_;
  const cublasLtHandle_t library_;
  const std::span<std::byte> workspace_;
  cublasLtMatrixLayout_t weights_ = nullptr, x_ = nullptr, y_ = nullptr;
  cublasLtMatmulDesc_t operation_ = nullptr;
  cublasLtMatmulPreference_t preference_ = nullptr;
  cublasLtMatmulAlgo_t algorithm_ = {};
  std::string error_;  // the first one
};

class CublasLt final : public Yardstick {
 public:
  CublasLt(std::string name, const Functions& functions, cublasLtHandle_t library)
      : name_(std::move(name)), functions_(functions), library_(library) {}
  ~CublasLt() override { complain(functions_.destroy.call(library_)); }

  std::string_view name() const override { return name_; }
  std::unique_ptr<YardstickProduct> plan(const Tensor& weights, const Tensor& x, const Tensor& y,
                                         std::span<std::byte> workspace, std::string* why) override {
    auto product = std::make_unique<CublasLtProduct>(functions_, library_, workspace);
    *why = product->plan(weights, x, y);
    if (!why->empty()) return nullptr;
    return product;
  }

 private:
  const std::string name_;
  const Functions functions_;
  const cublasLtHandle_t library_;
};

// Stays loaded to the end of the process: recorded graphs hold its kernels.
void* open_library(const std::string& file, std::string* name, std::string* why) {
  std::span<const char* const> names = kUsualNames;
  const char* const given = file.c_str();
  if (!file.empty()) names = {&given, 1};
  for (const char* candidate : names) {
    *name = candidate;
    if (void* library = dlopen(candidate, RTLD_NOW | RTLD_LOCAL)) return library;
    const char* error = dlerror();
    *why += (why->empty() ? "" : "; ") + std::string(error != nullptr ? error : candidate);
  }
  return nullptr;
}

}  // namespace

std::unique_ptr<Yardstick> load_yardstick(const std::string& file, std::string* why) {
  std::string name;
  why->clear();
  void* library = open_library(file, &name, why);
  if (library == nullptr) return nullptr;
  why->clear();
  Functions functions;
  if (const char* missing = functions.find_all(library)) {
    *why = name + " has no " + missing;
    return nullptr;
  }
  cublasLtHandle_t handle = nullptr;
  *why = functions.create.call(&handle);
  if (!why->empty()) return nullptr;
  return std::make_unique<CublasLt>(std::move(name), functions, handle);
}

}  // namespace halftone
