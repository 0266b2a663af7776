// Sixteen images side by side: the one vector type of this library.
//
// Activations lie as [block of 16 images][channel][pixel][16 lanes], so every kernel is scalar
// code over pixels and channels that works on 16 images at once. No kernel knows the width of
// the machine's registers, and a sum over lanes is always taken in the same order.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__FMA__)
#include <immintrin.h>
#endif

#define INLINE inline __attribute__((always_inline))
#define APART __attribute__((noinline))  // registers of its own
#define UNROLL _Pragma("GCC unroll 16")

namespace {

#ifdef LIGHTSEARCH_DOUBLE  // for exact comparisons only
typedef double real;
typedef int64_t integer;
#else
typedef float real;
typedef int32_t integer;
#endif

constexpr int LANES = 16;
constexpr int WIDTH = 32 / sizeof(real);  // values in a register
constexpr int PARTS = LANES / WIDTH;      // registers that hold the lanes

typedef real Reg __attribute__((vector_size(32)));
typedef integer Mask __attribute__((vector_size(32)));  // all bits set, or none, in each lane

struct alignas(64) Lanes {
    Reg part[PARTS];
};

INLINE Reg spread(real v) {
#ifdef LIGHTSEARCH_DOUBLE
    return Reg{v, v, v, v};
#else
    return Reg{v, v, v, v, v, v, v, v};  // one instruction, where Reg{} + v is two
#endif
}

// a * b + c, rounded once where the processor can.
INLINE Reg fma(Reg a, Reg b, Reg c) {
#if defined(__FMA__) && defined(LIGHTSEARCH_DOUBLE)
    return (Reg)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__FMA__)
    return (Reg)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

INLINE Reg choose(Mask which, Reg yes, Reg no) {
    return (Reg)(((Mask)yes & which) | ((Mask)no & ~which));
}
INLINE Reg where(Mask which, Reg value) { return (Reg)((Mask)value & which); }  // else 0

INLINE real sum(Reg a) {
    real total = 0;
    for (int i = 0; i < WIDTH; i++) total += a[i];
    return total;
}

#define EACH UNROLL for (int p = 0; p < PARTS; p++)

INLINE Lanes lanes(real value) {
    Lanes a;
    EACH a.part[p] = spread(value);
    return a;
}
INLINE Lanes operator+(Lanes a, Lanes b) { EACH a.part[p] += b.part[p]; return a; }
INLINE Lanes operator-(Lanes a, Lanes b) { EACH a.part[p] -= b.part[p]; return a; }
INLINE Lanes operator*(Lanes a, Lanes b) { EACH a.part[p] *= b.part[p]; return a; }
INLINE Lanes &operator+=(Lanes &a, Lanes b) { EACH a.part[p] += b.part[p]; return a; }
INLINE Lanes fma(Lanes a, Lanes b, Lanes c) {
    EACH c.part[p] = fma(a.part[p], b.part[p], c.part[p]);
    return c;
}
INLINE Lanes fma(Lanes a, real b, Lanes c) {
    Reg wide = spread(b);
    EACH c.part[p] = fma(a.part[p], wide, c.part[p]);
    return c;
}
INLINE real sum(Lanes a) {
    real total = 0;
    EACH total += sum(a.part[p]);
    return total;
}
INLINE real &lane(Lanes &a, int i) { return ((real *)&a)[i]; }

// Lane i of the result is x's where bit i of `bits` is set, else 0.
INLINE Lanes where(unsigned bits, Lanes x) {
    Mask bit{};
    UNROLL for (int i = 0; i < WIDTH; i++) bit[i] = integer(1) << i;
    EACH {
        Mask have = Mask{} + integer(bits >> (p * WIDTH));
        x.part[p] = where((have & bit) != 0, x.part[p]);
    }
    return x;
}

}  // namespace
