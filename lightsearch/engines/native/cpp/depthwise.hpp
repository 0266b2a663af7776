// Depthwise convolution: each output channel sees one input channel.
//
//     z[o][y][x] = b[o] + sum over r, s of w[o][r][s] * x[o / M][S*y + D*r - P][S*x + D*s - P]
//
// with M outputs per input. Loads are the limit. A window of 3 x 3 therefore computes four
// neighbouring outputs at once, from six pixels of each of its rows.
#pragma once
#include <algorithm>

#include "convolution.hpp"

namespace {

// Computes N neighbouring outputs of a window of SIDE x SIDE that moves by one pixel.
template <int SIDE, int N>
INLINE void depthwise_run(const Lanes *x, long row, Lanes *y, const real *weights, real bias,
                          bool add) {
    UNROLL_FOR (int p = 0; p < PARTS; p++) {
        Reg sums[N];
        UNROLL_FOR (int k = 0; k < N; k++) sums[k] = add ? y[k].part[p] : spread(bias);
        UNROLL_FOR (int r = 0; r < SIDE; r++)
            UNROLL_FOR (int s = 0; s < SIDE + N - 1; s++) {
                const Reg pixel = x[r * row + s].part[p];
                UNROLL_FOR (int k = std::max(0, s - SIDE + 1); k < N && k <= s; k++)
                    sums[k] = fma(pixel, spread(weights[r * SIDE + s - k]), sums[k]);
            }
        UNROLL_FOR (int k = 0; k < N; k++) y[k].part[p] = sums[k];
    }
}

// Computes one plane. The weights of a 3 x 3 window stay in registers.
template <int SIDE>
void depthwise_plane(Window window, const Lanes *x, Lanes *y, long y_row, int y_height,
                     int y_width, const real *weights, real bias, bool add) {
    const int height = SIDE > 0 ? SIDE : window.height, width = SIDE > 0 ? SIDE : window.width;
    const long apart = SIDE == DILATED ? window.dilation : 1, row = apart * window.row;
    for (int line = 0; line < y_height; line++, y += y_row, x += window.row * window.step) {
        const Lanes *at = x;
        int i = 0;
        if constexpr (SIDE > 0)
            for (; window.step == 1 && i + 4 <= y_width; i += 4, at += 4) {
                UNROLL_FOR (int k = 0; k < 4; k++) fetch_to_write(y + i + k, AHEAD);
                depthwise_run<SIDE, 4>(at, window.row, y + i, weights, bias, add);
            }
        for (; i < y_width; i++, at += window.step) {
            Lanes sums = add ? y[i] : lanes(bias);
            UNROLL_FOR (int r = 0; r < height; r++)
                UNROLL_FOR (int s = 0; s < width; s++)
                    sums = fma(at[r * row + s * apart], weights[r * width + s], sums);
            y[i] = sums;
        }
    }
}

inline void depthwise(Window window, const Lanes *x, View y, int channel, const real *weights,
                      real bias, bool add) {
    const bool three = window.height == 3 && window.width == 3;
    auto plane = window.dilated() ? depthwise_plane<DILATED>
                 : three          ? depthwise_plane<3>
                                  : depthwise_plane<ANY>;
    plane(window, x, y.line(channel, 0), y.row, y.height, y.width, weights, bias, add);
}

// Adds the gradient of one channel's weights to sums[tap]; nine taps at once if there are nine.
inline void depthwise_weight_gradient(Window window, const Lanes *x, const Lanes *dz, long dz_row,
                                      int dz_step, int dz_height, int dz_width, Reg *sums) {
    if (window.height == 3 && window.width == 3 && !window.dilated()) {
        Reg a[9];
        UNROLL_FOR (int k = 0; k < 9; k++) a[k] = sums[k];
        for (int line = 0; line < dz_height; line++, x += window.row * window.step, dz += dz_row) {
            const Lanes *at = x, *d = dz;
            for (int i = 0; i < dz_width; i++, at += window.step, d += dz_step)
                UNROLL_FOR (int p = 0; p < PARTS; p++) {
                    Reg slope = d->part[p];
                    UNROLL_FOR (int k = 0; k < 9; k++)
                        a[k] = fma(slope, at[k / 3 * window.row + k % 3].part[p], a[k]);
                }
        }
        UNROLL_FOR (int k = 0; k < 9; k++) sums[k] = a[k];
        return;
    }
    for (int r = 0; r < window.height; r++)
        for (int s = 0; s < window.width; s++)
            weight_rows<1, 1, 1>(window, x + window.dilation * (r * window.row + s), dz, 0, dz_row,
                                 dz_step, sums + r * window.width + s, 0, 0, dz_height, dz_width);
}

}  // namespace
