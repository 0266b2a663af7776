// The weight gradient of a dense 3 x 3 convolution with a stride of 1 in two thirds of the
// multiplications: Winograd's F(3, 2) along the rows (Lavin and Gray 2016 have its transpose).
//
// For each row of the window, two neighbouring gradients g0, g1 of an output and the four inputs
// d0 ... d3 that they see give to its three weights, with four products in place of six,
//
//     p0 = g0 (d0 - d2)                     dw0 = p0 + (p1 + p2) / 2
//     p1 = (g0 + g1) (d1 + d2)              dw1 =      (p1 - p2) / 2
//     p2 = (g0 - g1) (d2 - d1)              dw2 = (p1 + p2) / 2 - p3
//     p3 = g1 (d1 - d3)
//
// The products are summed over pixels, images and batch before that last step. Some rows at a time,
// the factors lie by product, so that a product's are read by the kernel for a window of 1 x 1.
#pragma once
#include "convolution.hpp"

namespace {

constexpr int PRODUCTS = 4;

// A band of rows: `kinds` planes of pairs for each channel, [kind][channel][row][pair].
struct Band {
    Lanes *at;
    int kinds, channels, rows, pairs;

    long plane() const { return ((long)rows * pairs) | 1; }
    size_t size() const { return (size_t)kinds * channels * plane(); }
    Lanes *line(int kind, int channel, int row) const {
        return at + ((long)kind * channels + channel) * plane() + (long)row * pairs;
    }
};

// Rows whose factors stay in the caches near the core (measured).
INLINE int band_rows(int height, int width) {
    return std::min(height, std::max(1, 128 / width));
}
INLINE Band input_band(Lanes *at, int inputs, int rows, int width) {
    return {at, PRODUCTS, inputs, rows + 2, (width + 1) / 2};
}
INLINE Band slope_band(const Band &in, int outputs, int rows) {
    return {in.at + in.size(), 2, outputs, rows, in.pairs};
}
inline size_t band_room(int inputs, int outputs, int height, int width) {
    const Band in = input_band(nullptr, inputs, band_rows(height, width), width);
    return in.size() + slope_band(in, outputs, in.rows - 2).size();
}

INLINE void pair_inputs(const Lanes *x, long plane, long row, Band to) {
    for (int c = 0; c < to.channels; c++)
        for (int r = 0; r < to.rows; r++) {
            const Lanes *d = x + c * plane + r * row;
            Lanes *p0 = to.line(0, c, r), *p1 = to.line(1, c, r);
            Lanes *p2 = to.line(2, c, r), *p3 = to.line(3, c, r);
            for (int i = 0; i < to.pairs; i++, d += 2) {
                p0[i] = d[0] - d[2];
                p1[i] = d[1] + d[2];
                p2[i] = d[2] - d[1];
                p3[i] = d[1] - d[3];
            }
        }
}

// Sums and differences; where a row is of odd length, the last pair's second gradient is zero.
INLINE void pair_slopes(View dz, int line, Band to) {
    for (int c = 0; c < to.channels; c++)
        for (int r = 0; r < to.rows; r++) {
            const Lanes *g = dz.line(c, line + r);
            Lanes *both = to.line(0, c, r), *apart = to.line(1, c, r);
            int i = 0;
            for (; 2 * i + 1 < dz.width; i++)
                both[i] = g[2 * i] + g[2 * i + 1], apart[i] = g[2 * i] - g[2 * i + 1];
            if (i < to.pairs) both[i] = apart[i] = g[2 * i];
        }
}

// sums[product][o][i][r] += the products of one group over one block.
inline void winograd_weight_gradient(Window window, const Lanes *x, View dz, Lanes *room,
                                     Reg *sums) {
    const int outputs = dz.channels, inputs = window.inputs;
    const int tiles = tile_count(outputs, 4), most = band_rows(dz.height, dz.width);
    for (int line = 0; line < dz.height; line += most) {
        const int rows = std::min(most, dz.height - line);
        const Band in = input_band(room, inputs, rows, dz.width);
        const Band slopes = slope_band(in, outputs, rows);
        pair_inputs(x + line * window.row, window.plane, window.row, in);
        pair_slopes(dz, line, slopes);
        const Window down{3, 1, 1, in.pairs, in.pairs, 1};  // the window's rows, as if channels
        Reg *to = sums;
        for (int k = 0; k < PRODUCTS; k++, to += 3L * outputs * inputs)
            for (int i = 0, o = 0; i < tiles; i++) {
                const int T = tile_size(outputs, tiles, i);
                const bool single = k == 0 || k == 3;  // g0, g1: they lie in dz
                const Lanes *d = single ? dz.line(o, line) + k / 3 : slopes.line(k - 1, o, 0);
                for (int c = 0; c < inputs; c++)
                    BY_TAP[2][T - 1](down, in.line(k, c, 0), d,
                                     single ? dz.plane : slopes.plane(),
                                     single ? dz.row : slopes.pairs, 1 + single,
                                     to + 3L * (o * inputs + c), 3L * inputs, 1, rows,
                                     k == 3 ? dz.width / 2 : in.pairs);
                o += T;
            }
    }
}

INLINE bool pairs_pay(int inputs, int outputs) { return inputs >= 4 && outputs >= 4; }

// The weights' gradients from the sums of the products.
inline void settle_products(const Reg *sums, long pairs, real *gradients) {
    for (long i = 0; i < pairs; i++)
        for (int r = 0; r < 3; r++, gradients += 3) {
            real p[PRODUCTS];
            for (int k = 0; k < PRODUCTS; k++) p[k] = sum(sums[3 * (k * pairs + i) + r]);
            const real both = (p[1] + p[2]) / 2;
            gradients[0] = p[0] + both;
            gradients[1] = (p[1] - p[2]) / 2;
            gradients[2] = both - p[3];
        }
}

}  // namespace
