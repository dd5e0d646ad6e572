#!/usr/bin/python3
"""Plants a violation of each rule in a small tree and asks check_tree to find it, and it alone."""

import pathlib
import subprocess
import tempfile
import unittest

CHECK_TREE = pathlib.Path(__file__).resolve().parents[2] / "tools/check_tree"
HEADER = "// What it is.\n#pragma once\n"
LONG_BODY = "\n".join(f"  total += {i};" for i in range(80))

# Everything here is legal, and much of it is easily mistaken for something else.
LEGAL = """#include "kernels/cpu/scale.h"

#include <vector>

namespace halftone {
namespace {

constexpr int kTable[] = {
%s
};

struct Point {
  int x{1};
  std::vector<int> list = {1, 2, 3};
  void move(int by) { x += by; }
};

enum class Kind : int { kOne, kTwo };

}  // namespace

// A brace in a comment { and in a string are no braces.
Scale::Scale(int size) : size_(size), name_{"}}}{{{'\\""}, raw_(R"x({{{ " )x"), big_{1'000'000} {
  for (int i = 0; i < size; ++i) {
    auto twice = [&](char c) { return c == '{' ? 2 * i : 0; };
    size_ += twice('}');
  }
}

template <typename T>
auto half(T value = T{2}) -> decltype(value / 2) {
  return value / 2;
}

bool operator==(const Point& a, const Point& b) { return a.x == b.x; }

}  // namespace halftone
""" % "\n".join(f"    {i}," for i in range(200))


class CheckTree(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = pathlib.Path(scratch.name)
        self.write("kernels/cpu/CMakeLists.txt", "halftone_library(halftone_cpu SOURCES scale.cc other.cc)\n")
        self.write("kernels/cpu/scale.h", HEADER)
        self.write("kernels/cpu/scale.cc", LEGAL)

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def problems(self):
        result = subprocess.run([CHECK_TREE, self.root], capture_output=True, text=True, check=False)
        self.assertEqual(result.stderr, "")
        if result.returncode == 0:
            self.assertEqual(result.stdout, "the tree keeps its rules\n")
            return []
        return result.stdout.splitlines()

    def expect(self, path, text, problem):
        """With this one file more there is one problem more: this one, in this file."""
        self.write(path, text)
        found = self.problems()
        self.assertEqual(len(found), 1, found)
        self.assertRegex(found[0], rf"^{path}:\d+: .*{problem}")

    def test_legal_code_passes(self):
        self.assertEqual(self.problems(), [])

    def test_a_kernel_may_not_know_the_server(self):
        self.expect("kernels/cpu/a.h",
                    HEADER + '#include "server/text/tokenizer.h"\n',
                    "kernels/cpu may not include server/text")

    def test_the_scheduler_may_not_know_the_executor(self):
        self.expect("server/scheduler/a.h",
                    HEADER + '#include "server/executor/executor.h"\n',
                    "may not include server/executor")

    def test_the_engine_knows_the_interface_of_the_executor_only(self):
        self.write("server/engine/a.h", HEADER + '#include "server/executor/executor.h"\n')
        self.assertEqual(self.problems(), [])
        self.expect("server/engine/b.h",
                    HEADER + '#include "server/executor/local_executor.h"\n',
                    "server/engine may not include server/executor")

    def test_plain_values_may_be_included_anywhere(self):
        self.write("server/scheduler/a.h", HEADER + '#include "kernels/contract/check.h"\n')
        self.assertEqual(self.problems(), [])

    def test_the_product_may_not_know_its_tests(self):
        self.expect("server/engine/a.h",
                    HEADER + '#include "tests/support/fake.h"\n',
                    "the product may not include tests/")

    def test_grpc_is_in_rpc_and_client_only(self):
        self.write("server/rpc/a.h", HEADER + "#include <grpcpp/grpcpp.h>\n")
        self.assertEqual(self.problems(), [])
        self.expect("server/engine/a.h", HEADER + "#include <grpcpp/grpcpp.h>\n", "gRPC here")

    def test_the_api_knows_messages_and_no_grpc(self):
        self.write("server/api/a.h", HEADER + '#include "halftone/v1/inference.pb.h"\n')
        self.write("server/rpc/a.h", HEADER + '#include "server/api/a.h"\n')
        self.assertEqual(self.problems(), [])
        self.expect("server/api/b.h", HEADER + '#include "halftone/v1/inference.grpc.pb.h"\n', "gRPC here")

    def test_the_api_may_not_know_a_front_door(self):
        self.expect("server/api/a.h", HEADER + '#include "server/rpc/a.h"\n', "server/api may not include server/rpc")

    def test_generated_messages_are_in_api_rpc_and_client_only(self):
        self.expect("server/text/a.h", HEADER + '#include "halftone/v1/inference.pb.h"\n', "protobuf here")

    def test_cuda_is_in_its_folders_only(self):
        self.write("kernels/cuda/a.h", HEADER + "#include <cuda_runtime.h>\n")
        self.write("tests/kernels/cuda/a.h", HEADER + "#include <cublasLt.h>\n")
        self.assertEqual(self.problems(), [])
        self.expect("kernels/cpu/a.h", HEADER + "#include <cublasLt.h>\n", "CUDA here")

    def test_intrinsics_are_in_cpu_files_only(self):
        self.write("kernels/weights/w4/CMakeLists.txt", "halftone_library(halftone_w4 SOURCES w4_avx2.cc)\n")
        self.write("kernels/weights/w4/w4_avx2.cc", "#include <immintrin.h>\n")
        self.assertEqual(self.problems(), [])
        self.expect("kernels/weights/w4/w4.h", HEADER + "#include <immintrin.h>\n", "intrinsics here")

    def test_http_is_in_its_folder_only(self):
        self.expect("server/metrics/a.h", HEADER + "#include <boost/beast/http.hpp>\n", "HTTP here")

    def test_headers_are_named_from_the_root(self):
        self.expect("kernels/cpu/a.h", HEADER + '#include "scale.h"\n', "not named from the root")

    def test_a_long_file_is_found(self):
        self.expect("kernels/cpu/a.h", HEADER + "int x;\n" * 400, "402 lines in the file")

    def test_a_wide_line_is_found(self):
        self.expect("kernels/cpu/a.h", HEADER + "// " + "x" * 118 + "\n", "121 characters wide")

    def test_a_long_function_is_found(self):
        self.expect("server/text/a.h",
                    HEADER + f"inline int sum(int total) {{\n{LONG_BODY}\n  return total;\n}}\n",
                    "83 lines in the function")

    def test_a_kernel_may_be_longer(self):
        self.write("kernels/cpu/a.h", HEADER + f"inline int sum(int total) {{\n{LONG_BODY}\n  return total;\n}}\n")
        self.assertEqual(self.problems(), [])

    def test_a_long_member_function_is_found(self):
        body = f"  explicit Sum(int by)\n      : by_{{by}}, total(0) {{\n{LONG_BODY}\n  }}\n"
        self.expect("server/text/a.h",
                    HEADER + f"class Sum : public Base<int> {{\n public:\n{body}}};\n",
                    "83 lines in the function")

    def test_a_long_test_is_found(self):
        self.write("tests/kernels/cpu/CMakeLists.txt", "halftone_test(cpu_test SOURCES a_test.cc)\n")
        self.expect("tests/kernels/cpu/a_test.cc",
                    f"TEST(Sum, IsLong) {{\n{LONG_BODY}\n}}\n",
                    "82 lines in the function")

    def test_two_types_of_one_name_are_found(self):
        name = "namespace halftone {\n%sstruct Request {\n  int id;\n};\n%s}  // namespace halftone\n"
        self.write("server/engine/request.h", HEADER + name % ("", ""))
        self.write("server/http/hidden.h", HEADER + name % ("namespace {\n", "}  // namespace\n"))
        self.write("server/http/inner.h", HEADER + (name % ("", "")).replace("Request", "Site::Request"))
        self.assertEqual(self.problems(), [])
        self.expect("server/http/site.h", HEADER + name % ("", ""),
                    "halftone::Request is a type of server/engine/request.h already")

    def test_conditional_compilation_is_found(self):
        self.expect("kernels/cpu/a.h", HEADER + "#ifdef NDEBUG\n#endif\n", "conditional directive")

    def test_what_two_compilers_read_may_be_conditional(self):
        self.write("kernels/cuda/primitives/a.h", HEADER + "#ifdef __CUDACC__\n#endif\n")
        self.assertEqual(self.problems(), [])
        self.expect("kernels/cuda/a.h", HEADER + "#ifdef __CUDACC__\n#endif\n", "conditional directive")

    def test_leftovers_are_found(self):
        self.expect("kernels/cpu/a.h", HEADER + "// TO" + "DO: later\n", "a leftover")

    def test_paths_of_one_machine_are_found(self):
        self.expect("tools/run.sh", "cd /ro" + "ot/halftone\n", "a path of one machine")

    def test_a_header_without_a_purpose_is_found(self):
        self.expect("kernels/cpu/a.h", "#pragma once\n", "begins with a comment")

    def test_a_header_without_a_guard_is_found(self):
        self.expect("kernels/cpu/a.h", "// What it is.\n", "no #pragma once")

    def test_a_source_that_nothing_builds_is_found(self):
        self.expect("kernels/cpu/forgotten.cc", "int x;\n", "nothing builds it")

    def test_a_source_with_the_name_of_another_is_found(self):
        self.expect("kernels/cpu/cale.cc", "int x;\n", "nothing builds it")

    def test_a_pattern_means_files_of_its_depth(self):
        self.write("kernels/kv/CMakeLists.txt", "file(GLOB sources */*.cu)\n")
        self.write("kernels/kv/kv8/kv8.cu", "int x;\n")
        self.assertEqual(self.problems(), [])
        self.expect("kernels/kv/kv.cu", "int x;\n", "nothing builds it")

    def test_a_folder_of_tests_for_nothing_is_found(self):
        self.expect("tests/kernels/gpu/CMakeLists.txt", "\n", "mirrors no folder")


if __name__ == "__main__":
    unittest.main()
