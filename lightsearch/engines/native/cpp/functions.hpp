// Activation functions, their derivatives, and the exponential that they need.
#pragma once
#include <cmath>

#include "interface.hpp"
#include "lanes.hpp"

namespace {

// e^x. In single precision, x = n ln 2 + r with |r| <= ln 2 / 2. e^r is the Taylor series to the
// seventh power (relative error below 2e-7), and 2^n goes into the exponent.
INLINE Reg exponential(Reg x) {
#ifdef LIGHTSEARCH_DOUBLE
    for (int i = 0; i < WIDTH; i++) x[i] = std::exp(x[i]);
    return x;
#else
    Mask number = x == x;
    Reg low = spread(-87.0f), high = spread(88.0f);
    Reg clipped = choose(x < low, low, choose(x > high, high, x));
    Reg magic = spread(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
    Reg n = fma(clipped, spread(1.44269504f), magic) - magic;
    Reg r = fma(n, spread(-0.693359375f), clipped);
    r = fma(n, spread(2.12194440e-4f), r);
    Reg e = spread(1.0f / 5040);
    const float rest[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    UNROLL_FOR (int i = 0; i < 7; i++) e = fma(e, r, spread(rest[i]));
    Mask power = (__builtin_convertvector(n, Mask) + 127) << 23;
    return choose(number, e * (Reg)power, x);
#endif
}

INLINE Reg sigmoid(Reg x) { return 1 / (1 + exponential(-x)); }

INLINE Lanes sigmoid(Lanes x) {
    UNROLL_FOR (int p = 0; p < PARTS; p++) x.part[p] = sigmoid(x.part[p]);
    return x;
}

// Each function has its value at x, and its slope at x times d. NaN stays NaN.
struct Identity {
    static INLINE Reg value(Reg x) { return x; }
    static INLINE Reg times_slope(Reg, Reg d) { return d; }
};
struct Relu {
    static INLINE Reg value(Reg x) { return where(~(x < 0), x); }
    static INLINE Reg times_slope(Reg x, Reg d) { return where(~(x <= 0), d); }
};
struct Silu {  // x sigmoid(x)
    static INLINE Reg value(Reg x) { return x * sigmoid(x); }
    static INLINE Reg times_slope(Reg x, Reg d) {
        Reg s = sigmoid(x);
        return d * (s * (1 + x * (1 - s)));
    }
};
struct Gelu {  // x (1 + erf(x / sqrt 2)) / 2, the exact one
    // (1 + erf(x / sqrt 2)) / 2. In single precision, erfc(z) is a polynomial in
    // t = 1 / (1 + 0.3275911 z) times e^(-z^2), with an error of at most 1.5e-7 (Abramowitz and
    // Stegun 1964, 7.1.26).
    static INLINE Reg half(Reg x) {
#ifdef LIGHTSEARCH_DOUBLE
        for (int i = 0; i < WIDTH; i++) x[i] = (1 + std::erf(x[i] * 0.70710678118654752440)) / 2;
        return x;
#else
        Reg z = choose(x < 0, -x, x) * 0.70710678f;
        Reg t = 1 / fma(z, spread(0.3275911f), spread(1));
        const float rest[] = {-1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f};
        Reg tail = spread(1.061405429f);
        UNROLL_FOR (int i = 0; i < 4; i++) tail = fma(tail, t, spread(rest[i]));
        tail = tail * t * exponential(-z * z) * 0.5f;
        return choose(x < 0, tail, 1 - tail);
#endif
    }
    static INLINE Reg value(Reg x) { return x * half(x); }
    static INLINE Reg times_slope(Reg x, Reg d) {
        Reg bell = exponential(x * x * (real)-0.5) * (real)0.3989422804014327;  // 1/sqrt(2 pi)
        return d * (half(x) + x * bell);
    }
};
struct Hardswish {  // x clamp(x + 3, 0, 6) / 6
    static INLINE Reg value(Reg x) {
        Reg inner = x * (x + 3) / 6;
        return choose(x <= -3, spread(0), choose(x >= 3, x, inner));
    }
    static INLINE Reg times_slope(Reg x, Reg d) {
        return choose(x <= -3, spread(0), choose(x >= 3, d, d * (x / 3 + (real)0.5)));
    }
};

template <class F> INLINE Lanes value(Lanes x) {
    UNROLL_FOR (int p = 0; p < PARTS; p++) x.part[p] = F::value(x.part[p]);
    return x;
}
template <class F> INLINE Lanes times_slope(Lanes x, Lanes d) {
    UNROLL_FOR (int p = 0; p < PARTS; p++) d.part[p] = F::times_slope(x.part[p], d.part[p]);
    return d;
}

// Calls `run` with a value of the function's type.
template <class Run> INLINE void with_function(int64_t name, Run run) {
    switch (name) {
        case RELU: return run(Relu{});
        case GELU: return run(Gelu{});
        case SILU: return run(Silu{});
        case HARDSWISH: return run(Hardswish{});
        default: return run(Identity{});
    }
}

}  // namespace
