// `Lanes`: one number of each of sixteen images. It is the only vector type of this library.
//
// Activations have the layout [block of 16 images][channel][pixel][16 lanes]. A kernel is
// therefore scalar code over pixels and channels that computes 16 images at once. A register holds
// 8 lanes, or all 16 with AVX-512 (`WIDE`), which also has twice as many registers. Kernels depend
// on nothing else of the machine. A sum over lanes always has the same order.
#pragma once
#include <cstdint>
#if defined(__FMA__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define INLINE inline __attribute__((always_inline))
#define APART __attribute__((noinline))  // gives a function all registers
#ifdef __AVX512F__
// Keeps x in a register. Without it GCC loads x for each multiplication, and loads are the limit.
#define HOLD(x) asm("" : "+v"(x))
#else
#define HOLD(x) (void)0
#endif
#define UNROLL_FOR(...) _Pragma("GCC unroll 16") for (__VA_ARGS__)

namespace {

#ifdef LIGHTSEARCH_DOUBLE  // for tests, which compare with PyTorch in double precision
typedef double real;
typedef int64_t integer;
#else
typedef float real;
typedef int32_t integer;
#endif

#ifndef LIGHTSEARCH_REGISTER  // bytes; 64 works on any processor, in more instructions
#ifdef __AVX512F__
#define LIGHTSEARCH_REGISTER 64
#else
#define LIGHTSEARCH_REGISTER 32
#endif
#endif

constexpr bool WIDE = LIGHTSEARCH_REGISTER == 64;
constexpr int LANES = 16;
constexpr int WIDTH = LIGHTSEARCH_REGISTER / sizeof(real);  // values in a register
constexpr int PARTS = LANES / WIDTH;                        // registers that hold the lanes

typedef real Reg __attribute__((vector_size(LIGHTSEARCH_REGISTER)));
// Each lane has all bits set, or none.
typedef integer Mask __attribute__((vector_size(LIGHTSEARCH_REGISTER)));

struct alignas(64) Lanes {
    Reg part[PARTS];
};

// v in every lane. This is one instruction; `Reg{} + v` would be two.
INLINE Reg spread(real v) {
#if LIGHTSEARCH_REGISTER == 64 && defined(LIGHTSEARCH_DOUBLE)
    return Reg{v, v, v, v, v, v, v, v};
#elif LIGHTSEARCH_REGISTER == 64
    return Reg{v, v, v, v, v, v, v, v, v, v, v, v, v, v, v, v};
#elif defined(LIGHTSEARCH_DOUBLE)
    return Reg{v, v, v, v};
#else
    return Reg{v, v, v, v, v, v, v, v};
#endif
}

// a * b + c. Single precision rounds once if the processor can.
INLINE Reg fma(Reg a, Reg b, Reg c) {
#if !defined(LIGHTSEARCH_DOUBLE) && defined(__aarch64__)
    struct Quads {
        float32x4_t quad[sizeof(Reg) / 16];
    } x, y, z;  // a register of 32 bytes is two here
    __builtin_memcpy(&x, &a, sizeof a);
    __builtin_memcpy(&y, &b, sizeof b);
    __builtin_memcpy(&z, &c, sizeof c);
    UNROLL_FOR (int i = 0; i < (int)(sizeof(Reg) / 16); i++)
        z.quad[i] = vfmaq_f32(z.quad[i], x.quad[i], y.quad[i]);
    Reg sum;
    __builtin_memcpy(&sum, &z, sizeof sum);
    return sum;
#elif defined(LIGHTSEARCH_DOUBLE) || !defined(__FMA__)
    return a * b + c;
#elif LIGHTSEARCH_REGISTER == 64 && defined(__AVX512F__)
    return (Reg)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif LIGHTSEARCH_REGISTER == 32 && defined(__FMA__)
    return (Reg)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

INLINE Reg choose(Mask which, Reg yes, Reg no) {
#if LIGHTSEARCH_REGISTER == 64
    return which ? yes : no;
#else
    return (Reg)(((Mask)yes & which) | ((Mask)no & ~which));
#endif
}
INLINE Reg where(Mask which, Reg value) {  // else 0
#if LIGHTSEARCH_REGISTER == 64
    return which ? value : Reg{};
#else
    return (Reg)((Mask)value & which);
#endif
}

INLINE real sum(Reg a) {
    real total = 0;
    for (int i = 0; i < WIDTH; i++) total += a[i];
    return total;
}

INLINE Lanes lanes(real value) {
    Lanes a;
    UNROLL_FOR (int p = 0; p < PARTS; p++) a.part[p] = spread(value);
    return a;
}
INLINE Lanes operator+(Lanes a, Lanes b) {
    UNROLL_FOR (int p = 0; p < PARTS; p++) a.part[p] += b.part[p];
    return a;
}
INLINE Lanes operator-(Lanes a, Lanes b) {
    UNROLL_FOR (int p = 0; p < PARTS; p++) a.part[p] -= b.part[p];
    return a;
}
INLINE Lanes operator*(Lanes a, Lanes b) {
    UNROLL_FOR (int p = 0; p < PARTS; p++) a.part[p] *= b.part[p];
    return a;
}
INLINE Lanes &operator+=(Lanes &a, Lanes b) {
    UNROLL_FOR (int p = 0; p < PARTS; p++) a.part[p] += b.part[p];
    return a;
}
INLINE Lanes fma(Lanes a, Lanes b, Lanes c) {
    UNROLL_FOR (int p = 0; p < PARTS; p++) c.part[p] = fma(a.part[p], b.part[p], c.part[p]);
    return c;
}
INLINE Lanes fma(Lanes a, Reg b, Lanes c) {  // with the same b for all parts
    UNROLL_FOR (int p = 0; p < PARTS; p++) c.part[p] = fma(a.part[p], b, c.part[p]);
    return c;
}
INLINE Lanes fma(Lanes a, real b, Lanes c) { return fma(a, spread(b), c); }
INLINE real sum(Lanes a) {
    real total = 0;
    UNROLL_FOR (int p = 0; p < PARTS; p++) total += sum(a.part[p]);
    return total;
}
INLINE real &lane(Lanes &a, int i) { return ((real *)&a)[i]; }

// Lane i of the result is that of x if bit i of `bits` is set, else 0.
INLINE Lanes where(unsigned bits, Lanes x) {
    Mask bit{};
    UNROLL_FOR (int i = 0; i < WIDTH; i++) bit[i] = integer(1) << i;
    UNROLL_FOR (int p = 0; p < PARTS; p++) {
        Mask have = Mask{} + integer(bits >> (p * WIDTH));
        x.part[p] = where((have & bit) != 0, x.part[p]);
    }
    return x;
}

}  // namespace
