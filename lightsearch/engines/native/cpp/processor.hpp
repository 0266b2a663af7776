// Which build suits this processor best. Python asks the build that runs on any processor.
#pragma once
#include <cstdint>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace {

// 4: with AVX-512; 3: with AVX2 and FMA; 0: neither. AMD's family 25 (Zen 4) has AVX-512 but
// splits such registers in two, and was slower with them (docs/benchmarks.md). Others may gain
// nothing, with one unit for wide multiplications or registers split too; of those none was tried.
inline int64_t best_build() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return 3;
    unsigned a = 0, b = 0, c = 0, d = 0;
    __get_cpuid(1, &a, &b, &c, &d);
    const unsigned family = (a >> 8 & 15) + (a >> 20 & 255);
    return __builtin_cpu_is("amd") && family == 25 ? 3 : 4;
#else
    return 0;
#endif
}

}  // namespace
