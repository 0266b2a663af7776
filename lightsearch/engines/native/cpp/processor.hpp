// Which build suits this processor best. Python asks the build that runs on any processor.
#pragma once
#include <cstdint>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace {

#if defined(__x86_64__)
// What the choice depends on: CPUID leaf 1 (ECX) and leaf 7 (EBX), and the register XCR0, whose
// bits say what the system saves when threads change places. `__builtin_cpu_supports` reads the
// same, but zig's runtime library has only an empty body for it: under zig it denies everything.
struct Processor {
    unsigned leaf1, leaf7, saved;
};

inline Processor this_processor() {
    Processor found = {0, 0, 0};
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &found.leaf1, &edx)) return found;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) found.leaf7 = ebx;
    // Without OSXSAVE the instruction XGETBV is an illegal one.
    if (found.leaf1 & bit_OSXSAVE) __asm__("xgetbv" : "=a"(found.saved), "=d"(edx) : "c"(0));
    return found;
}

constexpr bool has(unsigned bits, unsigned wanted) { return (bits & wanted) == wanted; }

// 4: the build for AVX-512; 3: for AVX2 and FMA; 0: for any processor. AVX-512 was faster on both
// kinds of processor that were measured: an Intel Xeon of the fifth generation, and an AMD EPYC
// (Zen 4), although the latter splits such registers in two (docs/benchmarks/engine_log.md).
constexpr int64_t build_for(Processor one) {
    constexpr unsigned avx = 0x6;  // the registers XMM and YMM
#if defined(__APPLE__)
    constexpr unsigned avx512 = avx;  // macOS begins to save the others with a thread's first use
#else
    constexpr unsigned avx512 = 0xe6;  // the mask registers and ZMM too
#endif
    constexpr unsigned kinds = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    if (!has(one.saved, avx) || !has(one.leaf1, bit_FMA) || !has(one.leaf7, bit_AVX2)) return 0;
    return has(one.saved, avx512) && has(one.leaf7, kinds) ? 4 : 3;
}

inline int64_t best_build() { return build_for(this_processor()); }
#else
inline int64_t best_build() { return 0; }
#endif

}  // namespace
