// Which build suits this processor best. Python asks the build that runs on any processor.
#pragma once
#include <cstdint>

namespace {

// 4: the build for AVX-512; 3: for AVX2 and FMA; 0: for any processor. AVX-512 was faster on both
// kinds of processor that were measured: an Intel Xeon of the fifth generation, and an AMD EPYC
// (Zen 4), although the latter splits such registers in two (docs/benchmarks/engine_log.md).
inline int64_t best_build() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
               ? 4
               : 3;
#else
    return 0;
#endif
}

}  // namespace
