# Which of the CUDA backend's files are as they were when a GPU last proved them: cmake -DROOT=... -DOUT=... -P this.
# A file is verified where a record in bench/results/ without failures has its digest. Writes OUT/kernel_records.h and
# OUT/kernel_digests.json.
cmake_minimum_required(VERSION 3.25)
file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/kernels/cuda/*.cu ${ROOT}/kernels/cuda/*.h ${ROOT}/kernels/weights/*.cu
  ${ROOT}/kernels/weights/*_cuda*.h ${ROOT}/kernels/kv/*.cu ${ROOT}/kernels/kv/*_cuda*.h)
file(GLOB records ${ROOT}/bench/results/*.json)
set(proofs "")
foreach(record IN LISTS records)
  file(READ ${record} text)
  string(JSON failures LENGTH ${text} failures)
  string(JSON kernels GET ${text} kernels)
  if(failures EQUAL 0)
    string(APPEND proofs ${kernels})
  endif()
endforeach()
set(digests "")
set(unverified "")
foreach(file IN LISTS files)
  file(SHA256 ${ROOT}/${file} digest)
  string(SUBSTRING ${digest} 0 16 digest)
  list(APPEND digests "  \"${file}\": \"${digest}\"")
  string(FIND "${proofs}" "\"${file}\" : \"${digest}\"" found)
  if(found EQUAL -1)
    string(APPEND unverified "    \"${file}\",\n")
  endif()
endforeach()
list(LENGTH files count)
list(JOIN digests ",\n" digests)
file(WRITE ${OUT}/kernel_digests.json "{\n${digests}\n}\n")
file(WRITE ${OUT}/kernel_records.h "// Made by cmake/kernel_records.cmake.
#pragma once

namespace halftone {

inline constexpr int kCudaFiles = ${count};
// Changed since a GPU last proved them; ends with null.
inline constexpr const char* kUnverifiedCudaFiles[] = {
${unverified}    nullptr};

}  // namespace halftone
")
