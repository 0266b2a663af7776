// Depthwise convolution: each output channel sees one input channel.
//
//     z[o][y][x] = b[o] + sum over r, s of w[o][r][s] * x[o / M][S*y + r - P][S*x + s - P]
//
// with M outputs for each input. Bound by loads: a tap costs one load and one multiply-add.
#pragma once
#include "convolution.hpp"

namespace {

// One plane; the weights stay in registers where the window is 3 x 3.
template <int SIDE>
void depthwise_plane(Window window, const Lanes *x, Lanes *y, long y_row, int y_height,
                     int y_width, const real *weights, real bias, bool add) {
    const int height = SIDE ? SIDE : window.height, width = SIDE ? SIDE : window.width;
    for (int line = 0; line < y_height; line++, y += y_row, x += window.row * window.step) {
        const Lanes *at = x;
        for (int i = 0; i < y_width; i++, at += window.step) {
            Lanes sums = add ? y[i] : lanes(bias);
            UNROLL for (int r = 0; r < height; r++)
                UNROLL for (int s = 0; s < width; s++)
                    sums = fma(at[r * window.row + s], weights[r * width + s], sums);
            y[i] = sums;
        }
    }
}

inline void depthwise(Window window, const Lanes *x, View y, int channel, const real *weights,
                      real bias, bool add) {
    auto plane = window.height == 3 && window.width == 3 ? depthwise_plane<3> : depthwise_plane<0>;
    plane(window, x, y.line(channel, 0), y.row, y.height, y.width, weights, bias, add);
}

// sums[tap] += the gradient of one channel's weights; nine taps at once where there are nine.
inline void depthwise_weight_gradient(Window window, const Lanes *x, const Lanes *dz, long dz_row,
                                      int dz_step, int dz_height, int dz_width, Reg *sums) {
    if (window.height == 3 && window.width == 3) {
        Reg a[9];
        UNROLL for (int k = 0; k < 9; k++) a[k] = sums[k];
        for (int line = 0; line < dz_height; line++, x += window.row * window.step, dz += dz_row) {
            const Lanes *at = x, *d = dz;
            for (int i = 0; i < dz_width; i++, at += window.step, d += dz_step)
                UNROLL for (int p = 0; p < PARTS; p++) {
                    Reg slope = d->part[p];
                    UNROLL for (int k = 0; k < 9; k++)
                        a[k] = fma(slope, at[k / 3 * window.row + k % 3].part[p], a[k]);
                }
        }
        UNROLL for (int k = 0; k < 9; k++) sums[k] = a[k];
        return;
    }
    for (int r = 0; r < window.height; r++)
        for (int s = 0; s < window.width; s++)
            weight_rows<1, 1, 1>(window, x + r * window.row + s, dz, 0, dz_row, dz_step,
                                 sums + r * window.width + s, 0, 0, dz_height, dz_width);
}

}  // namespace
