// Whether files named *_avx2.cc run here. Every processor with AVX2 and FMA converts halves, too.
#pragma once

namespace halftone::test {

inline bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

}  // namespace halftone::test
