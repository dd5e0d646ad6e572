// The probes of CUDA primitives: small kernels (*_probes.cu) that make words of words, compiled by nvcc for the GPU
// and as plain C++ for fibers, so that tests can hold the one to the other. Any thread, one call at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace halftone::test {

using Words = std::vector<uint32_t>;

// What a kernel made of its words.
struct Outcome {
  Words words;
  std::string error;         // why there are none
  bool has_no_code = false;  // that is the error: the kernel needs a newer GPU
};

// One compilation of the probes, and what it runs on.
struct ProbeDevice {
  std::string gpu;  // "NVIDIA H200 (sm_90)"; empty: there is none, and run is not to be called
  std::vector<std::string> kernels;
  Outcome (*run)(const std::string& kernel, const Words& in) = nullptr;
};

}  // namespace halftone::test

namespace halftone::cuda {
test::ProbeDevice probe_device();  // no_cuda_probes.cc stands for it in builds without the toolkit
}
namespace halftone::cuda_host {
test::ProbeDevice probe_device();
}
