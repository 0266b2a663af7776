// Winograd's algorithms in one dimension: M neighbouring outputs of a window of 3 weights w follow
// from M + 2 inputs d in M + 2 multiplications, for M = 2 or 4.
//
//     y = A' [ (G w) . (B' d) ],    where . multiplies number by number
//
// The matrices multiply polynomials by way of their values at M + 2 points: 0, infinity, and M / 2
// points p with both signs, in this order. Let Z(x) be the product of x^2 - p^2 over all p, and
// E(x) the product over all but one p. The rows of B' are the coefficients of
//
//     Z(x) for 0,    x Z(x) for infinity,    x^2 E(x) +- p x E(x) for +-p,
//
// The rows of G are the powers 1, p, p^2, divided by the slope of x Z(x) at the point; infinity
// has 0, 0, 1. Row j of A' has the powers p^j. The point 0 has a 1 in the first row alone,
// infinity in the last.
//
// For M = 2, p is 1. For M = 4 any two points are right, but they round differently. In two
// dimensions, 5/8 and 3/2 make the rounding error of a convolution of 16 channels of random
// numbers 2.3 times that of the plain sum; the usual 1 and 2 make it 5.0 times. M = 2 makes it 0.8
// times. Fewer channels make all of these larger (benchmarks/engines/rounding.py).
#pragma once
#include <type_traits>

#include "lanes.hpp"

namespace {

// Calls `run` with M as a compile-time constant.
template <class Run> INLINE auto with_m(int m, Run run) {
    if (m == 4) return run(std::integral_constant<int, 4>());
    return run(std::integral_constant<int, 2>());
}

// The numbers in the matrices, as tables, so that the compiler knows them without unrolling loops.
template <int M> struct Points {
    static constexpr int PAIRS = M / 2;
    double p[PAIRS] = {}, powers[PAIRS][M + 1] = {};
    double z[PAIRS + 1] = {}, e[PAIRS][PAIRS + 1] = {};  // coefficients of x^2j in Z and each E
    double g[M + 2][3] = {};

    constexpr Points() {
        for (int k = 0; k < PAIRS; k++) {
            p[k] = M == 2 ? 1 : k == 0 ? 0.625 : 1.5;
            powers[k][0] = 1;
            for (int n = 1; n <= M; n++) powers[k][n] = powers[k][n - 1] * p[k];
        }
        multiply(z, -1);
        g[0][0] = 1 / z[0];
        g[1][2] = 1;
        for (int k = 0; k < PAIRS; k++) {
            multiply(e[k], k);
            double slope = 0;
            for (int j = 0; j < PAIRS; j++) slope += 2 * e[k][j] * powers[k][2 * j + 2];
            for (int tap = 0; tap < 3; tap++) {
                g[2 * k + 2][tap] = powers[k][tap] / slope;
                g[2 * k + 3][tap] = (tap == 1 ? -1 : 1) * powers[k][tap] / slope;
            }
        }
    }

  private:
    // The product of x^2 - p^2 over all p except number `without`.
    constexpr void multiply(double *to, int without) {
        to[0] = 1;
        for (int k = 0, degree = 1; k < PAIRS; k++) {
            if (k == without) continue;
            for (int j = degree++; j >= 0; j--) to[j] = (j ? to[j - 1] : 0) - p[k] * p[k] * to[j];
        }
    }
};
template <int M> constexpr Points<M> POINTS_OF;

// to + times * x
INLINE Reg add(Reg to, Reg x, double times) {
    return times == 1 ? to + x : times == -1 ? to - x : fma(x, spread((real)times), to);
}

// Numbers 2 pair and 2 pair + 1 of B' d.
template <int M, class At> INLINE void to_points(int pair, At d, Reg &one, Reg &other) {
    constexpr const Points<M> &P = POINTS_OF<M>;
    if (pair == 0) {
        one = d(M), other = d(M + 1);
        UNROLL_FOR (int j = 0; j < M / 2; j++) {
            one = add(one, d(2 * j), P.z[j]);
            other = add(other, d(2 * j + 1), P.z[j]);
        }
        return;
    }
    Reg even = d(M), odd = d(M - 1);
    UNROLL_FOR (int j = 0; j < M / 2 - 1; j++) {
        even = add(even, d(2 * j + 2), P.e[pair - 1][j]);
        odd = add(odd, d(2 * j + 1), P.e[pair - 1][j]);
    }
    one = add(even, odd, P.p[pair - 1]);
    other = add(even, odd, -P.p[pair - 1]);
}

// Numbers 0, 2, ... of A' m, or 1, 3, ...
template <int M, class At> INLINE void from_points(int parity, At m, Reg *y) {
    constexpr const Points<M> &P = POINTS_OF<M>;
    Reg both[M / 2];
    UNROLL_FOR (int k = 0; k < M / 2; k++)
        both[k] = parity ? m(2 * k + 2) - m(2 * k + 3) : m(2 * k + 2) + m(2 * k + 3);
    UNROLL_FOR (int i = 0; i < M / 2; i++) {
        const int n = 2 * i + parity;
        y[i] = n == 0       ? m(0) + both[0]
               : n == M - 1 ? add(m(1), both[0], P.powers[0][n])
                            : both[0] * spread((real)P.powers[0][n]);
        UNROLL_FOR (int k = 1; k < M / 2; k++) y[i] = add(y[i], both[k], P.powers[k][n]);
    }
}

// Numbers 2 pair and 2 pair + 1 of A y.
template <int M, class At> INLINE void gather_points(int pair, At y, Reg &one, Reg &other) {
    constexpr const Points<M> &P = POINTS_OF<M>;
    if (pair == 0) {
        one = y(0), other = y(M - 1);
        return;
    }
    const double *powers = P.powers[pair - 1];
    Reg even = y(0), odd = y(1) * spread((real)powers[1]);
    UNROLL_FOR (int j = 2; j < M; j += 2) {
        even = add(even, y(j), powers[j]);
        odd = add(odd, y(j + 1), powers[j + 1]);
    }
    one = even + odd, other = even - odd;
}

}  // namespace
