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

INLINE Reg hyperbolic_tangent(Reg x) {
#ifdef LIGHTSEARCH_DOUBLE
    for (int i = 0; i < WIDTH; i++) x[i] = std::tanh(x[i]);
    return x;
#else
    // Near zero, where 1 - 2 / (1 + e^2x) would cancel, a polynomial (Moshier's Cephes, tanhf).
    const float rest[] = {2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f,
                          -3.33332819422e-1f};
    Reg square = x * x, small = spread(-5.70498872745e-3f);
    UNROLL_FOR (int i = 0; i < 4; i++) small = fma(small, square, spread(rest[i]));
    Reg large = 1 - 2 / (1 + exponential(x + x));
    return choose(square < 0.390625f, fma(small * square, x, x), large);
#endif
}

// Each function has its value at x, and its slope at x times d. NaN stays NaN.
struct Identity {
    INLINE Reg value(Reg x) const { return x; }
    INLINE Reg times_slope(Reg, Reg d) const { return d; }
};
struct Relu {
    INLINE Reg value(Reg x) const { return where(~(x < 0), x); }
    INLINE Reg times_slope(Reg x, Reg d) const { return where(~(x <= 0), d); }
};
struct Silu {  // x sigmoid(x)
    INLINE Reg value(Reg x) const { return x * sigmoid(x); }
    INLINE Reg times_slope(Reg x, Reg d) const {
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
    INLINE Reg value(Reg x) const { return x * half(x); }
    INLINE Reg times_slope(Reg x, Reg d) const {
        Reg bell = exponential(x * x * (real)-0.5) * (real)0.3989422804014327;  // 1/sqrt(2 pi)
        return d * (half(x) + x * bell);
    }
};
struct Hardswish {  // x clamp(x + 3, 0, 6) / 6
    INLINE Reg value(Reg x) const {
        Reg inner = x * (x + 3) / 6;
        return choose(x <= -3, spread(0), choose(x >= 3, x, inner));
    }
    INLINE Reg times_slope(Reg x, Reg d) const {
        return choose(x <= -3, spread(0), choose(x >= 3, d, d * (x / 3 + (real)0.5)));
    }
};

struct LeakyRelu {
    Reg slope;  // below zero
    INLINE Reg value(Reg x) const { return choose(x <= 0, x * slope, x); }
    INLINE Reg times_slope(Reg x, Reg d) const { return choose(x <= 0, d * slope, d); }
};
struct Relu6 {  // clamp(x, 0, 6)
    INLINE Reg value(Reg x) const {
        return choose(x <= 0, spread(0), choose(x >= 6, spread(6), x));
    }
    INLINE Reg times_slope(Reg x, Reg d) const { return where(~((x <= 0) | (x >= 6)), d); }
};
struct Hardsigmoid {  // clamp(x + 3, 0, 6) / 6
    INLINE Reg value(Reg x) const { return Relu6{}.value(x + 3) / 6; }
    INLINE Reg times_slope(Reg x, Reg d) const { return where(~((x <= -3) | (x >= 3)), d) / 6; }
};
struct Sigmoid {
    INLINE Reg value(Reg x) const { return sigmoid(x); }
    INLINE Reg times_slope(Reg x, Reg d) const {
        Reg s = sigmoid(x);
        return d * (s * (1 - s));
    }
};
struct Tanh {
    INLINE Reg value(Reg x) const { return hyperbolic_tangent(x); }
    INLINE Reg times_slope(Reg x, Reg d) const {
        Reg y = hyperbolic_tangent(x);
        return d * (1 - y * y);
    }
};

template <class F> INLINE Lanes value(F f, Lanes x) {
    UNROLL_FOR (int p = 0; p < PARTS; p++) x.part[p] = f.value(x.part[p]);
    return x;
}
template <class F> INLINE Lanes times_slope(F f, Lanes x, Lanes d) {
    UNROLL_FOR (int p = 0; p < PARTS; p++) d.part[p] = f.times_slope(x.part[p], d.part[p]);
    return d;
}

// Calls `run` with a function of an op.
template <class Run> INLINE void with_function(const Op &op, int64_t name, Run run) {
    switch (name) {
        case RELU: return run(Relu{});
        case GELU: return run(Gelu{});
        case SILU: return run(Silu{});
        case HARDSWISH: return run(Hardswish{});
        case RELU6: return run(Relu6{});
        case LEAKYRELU: return run(LeakyRelu{spread((real)op.slope)});
        case TANH: return run(Tanh{});
        case SIGMOID: return run(Sigmoid{});
        case HARDSIGMOID: return run(Hardsigmoid{});
        default: return run(Identity{});
    }
}

// Calls `run` with the functions before and after an op's normalisation. One of them is the
// identity (plan.py): all pairs would be five times the code.
template <class Run> INLINE void with_functions(const Op &op, Run run) {
    if (op.before == IDENTITY)
        return with_function(op, op.after, [&](auto g) { run(Identity{}, g); });
    with_function(op, op.before, [&](auto f) { run(f, Identity{}); });
}

}  // namespace
