// Winograd's algorithms in one dimension: how M neighbouring outputs of a window of 3 come from
// M + 2 inputs d in M + 2 multiplications, M = 2 or 4.
//
//     y = A' [ (G w) . (B' d) ],    . multiplies number by number
//
// The matrices multiply polynomials by their values at M + 2 points: 0, infinity, and M / 2 points
// p with both signs, in this order. With Z(x) the product of x^2 - p^2 over all p, and E(x) that
// over the others than p, the rows of B' are the coefficients of
//
//     Z(x) for 0,    x Z(x) for infinity,    x^2 E(x) +- p x E(x) for +-p,
//
// those of G the powers 1, p, p^2 over x Z(x)'s slope at the point (0, 0, 1 for infinity), and
// A'[j] has p^j, 1 for 0 in its first row, and for infinity in its last. For M = 2, p is 1. For
// M = 4 any two will do, but for rounding: 5/8 and 3/2 make the error of a convolution of random
// numbers, in two dimensions, 2.3 times the plain sum's, where the usual 1 and 2 make it 5.0. With
// M = 2 it is no larger than the plain sum's (benchmarks/rounding.py).
#pragma once
#include <type_traits>

#include "lanes.hpp"

namespace {

// Calls `run` with M as a constant.
template <class Run> INLINE auto with_m(int m, Run run) {
    if (m == 4) return run(std::integral_constant<int, 4>());
    return run(std::integral_constant<int, 2>());
}

// p number k.
template <int M> constexpr double point(int k) { return M == 2 ? 1 : k == 0 ? 0.625 : 1.5; }

// The coefficient of x^2j in the product of x^2 - p^2 over the points but number `without`.
template <int M> constexpr double coefficient(int j, int without) {
    double all[M / 2 + 1] = {1};
    for (int k = 0, degree = 1; k < M / 2; k++) {
        if (k == without) continue;
        for (int i = degree++; i >= 0; i--)
            all[i] = (i ? all[i - 1] : 0) - point<M>(k) * point<M>(k) * all[i];
    }
    return all[j];
}
constexpr double power(double x, int n) { return n ? x * power(x, n - 1) : 1; }

// to + times x.
INLINE Reg add(Reg to, Reg x, double times) {
    return times == 1 ? to + x : times == -1 ? to - x : fma(x, spread((real)times), to);
}

// Numbers 2 pair and 2 pair + 1 of B' d.
template <int M, class At> INLINE void to_points(int pair, At d, Reg &one, Reg &other) {
    const int k = pair - 1, degree = pair ? M / 2 - 1 : M / 2;
    Reg even = d(M), odd = d(pair ? M - 1 : M + 1);
    UNROLL for (int j = 0; j < degree; j++) {
        even = add(even, d(pair ? 2 * j + 2 : 2 * j), coefficient<M>(j, k));
        odd = add(odd, d(2 * j + 1), coefficient<M>(j, k));
    }
    one = pair ? add(even, odd, point<M>(k)) : even;
    other = pair ? add(even, odd, -point<M>(k)) : odd;
}

// Numbers 0, 2, ... of A' m, or 1, 3, ...
template <int M, class At> INLINE void from_points(int parity, At m, Reg *y) {
    Reg both[M / 2];
    UNROLL for (int k = 0; k < M / 2; k++)
        both[k] = parity ? m(2 * k + 2) - m(2 * k + 3) : m(2 * k + 2) + m(2 * k + 3);
    UNROLL for (int i = 0; i < M / 2; i++) {
        const int n = 2 * i + parity;
        y[i] = n == 0       ? m(0) + both[0]
               : n == M - 1 ? add(m(1), both[0], power(point<M>(0), n))
                            : both[0] * spread((real)power(point<M>(0), n));
        UNROLL for (int k = 1; k < M / 2; k++) y[i] = add(y[i], both[k], power(point<M>(k), n));
    }
}

// Numbers 2 pair and 2 pair + 1 of A y.
template <int M, class At> INLINE void gather_points(int pair, At y, Reg &one, Reg &other) {
    const int k = pair - 1;
    if (pair == 0) {
        one = y(0), other = y(M - 1);
        return;
    }
    Reg even = y(0), odd = y(1) * spread((real)point<M>(k));
    UNROLL for (int j = 2; j < M; j += 2) {
        even = add(even, y(j), power(point<M>(k), j));
        odd = add(odd, y(j + 1), power(point<M>(k), j + 1));
    }
    one = even + odd, other = even - odd;
}

// G, as `at`.
template <int M> struct Weighting {
    double at[M + 2][3] = {};
    constexpr Weighting() {
        at[0][0] = 1 / coefficient<M>(0, -1);
        at[1][2] = 1;
        for (int k = 0; k < M / 2; k++) {
            double slope = 0;
            for (int j = 0; j < M / 2; j++)
                slope += 2 * coefficient<M>(j, k) * power(point<M>(k), 2 * j + 2);
            for (int tap = 0; tap < 3; tap++) {
                at[2 * k + 2][tap] = power(point<M>(k), tap) / slope;
                at[2 * k + 3][tap] = power(-point<M>(k), tap) / slope;
            }
        }
    }
};

}  // namespace
