// The weight gradient of a dense 3 x 3 convolution with a stride of 1 in fewer multiplications:
// Winograd's F(3, M) along the rows, M = 2 or 4, which is F(M, 3) transposed. From y = A' [(G w) .
// (B' d)] (points.hpp) follows the gradient of the three weights of a window's row,
//
//     dw = G' [(A g) . (B' d)],    where . multiplies number by number,
//
// with the gradients g of M neighbouring outputs. That takes 4 products instead of 6, or 6 instead
// of 12. The products are summed over pixels, images and batch; G' comes last.
//
// The factors of a band of rows are stored by point, so that the kernel for a window of 1 x 1 can
// sum each point's products. If M does not divide a row, the last group of outputs overlaps its
// neighbour, and the gradients in the overlap count as zero.
#pragma once
#include <algorithm>

#include "convolution.hpp"
#include "points.hpp"

namespace {

// The factors of a band of rows, as [point][channel][row][group].
struct Band {
    Lanes *at;
    int channels, rows, groups;

    long plane() const { return ((long)rows * groups) | 1; }
    size_t size(int points) const { return (size_t)points * channels * plane(); }
    Lanes *line(int point, int channel, int row) const {
        return at + ((long)point * channels + channel) * plane() + (long)row * groups;
    }
};

template <int M> struct RowGradient {
    static constexpr int POINTS = M + 2;

    // The number of rows whose factors stay in the caches near the core (measured).
    static int band_rows(int height, int width) {
        return std::min(height, std::max(1, 256 / width));
    }
    static Band input_band(Lanes *at, int inputs, int rows, int width) {
        return {at, inputs, rows + 2, tile_count(width, M)};
    }
    static Band slope_band(const Band &in, int outputs, int rows) {
        return {in.at + in.size(POINTS), outputs, rows, in.groups};
    }
    static size_t room(int inputs, int outputs, int height, int width) {
        const int rows = band_rows(height, width);
        const Band in = input_band(nullptr, inputs, rows, width);
        return in.size(POINTS) + Band{nullptr, outputs, rows, in.groups}.size(POINTS);
    }

    // Computes B' d of one row of a channel with `width` outputs.
    static APART void transform_inputs(const Lanes *d, int width, const Band &to, int c, int r) {
        Lanes *at = to.line(0, c, r);
        const long apart = to.channels * to.plane();
        for (int i = 0; i < to.groups; i++, at++) {
            const Lanes *from = d + std::min(i * M, width - M);
            UNROLL_FOR (int p = 0; p < PARTS; p++)
                UNROLL_FOR (int n = 0; n < POINTS; n += 2)
                    to_points<M>(
                        n / 2, [&](int s) { return from[s].part[p]; }, at[n * apart].part[p],
                        at[(n + 1) * apart].part[p]);
        }
    }

    // Computes A g of one group.
    template <class At> static INLINE void gather(At g, Lanes *to, long apart) {
        UNROLL_FOR (int p = 0; p < PARTS; p++)
            UNROLL_FOR (int n = 0; n < POINTS; n += 2)
                gather_points<M>(
                    n / 2, [&](int s) { return g(s).part[p]; }, to[n * apart].part[p],
                    to[(n + 1) * apart].part[p]);
    }

    // Computes A g of one row of a channel.
    static APART void transform_slopes(const Lanes *g, int width, const Band &to, int c, int r) {
        Lanes *at = to.line(0, c, r);
        const long apart = to.channels * to.plane();
        for (int i = 0; i < width / M; i++, at++, g += M)
            gather([&](int s) { return g[s]; }, at, apart);
        const int old = M - width % M;
        if (old < M) gather([&](int s) { return s < old ? lanes(0) : g[s - old]; }, at, apart);
    }

    // Adds the products of one group of channels over one block to sums[point][o][i][r].
    static void add(Window window, const Lanes *x, View dz, Lanes *room, Reg *sums) {
        const int outputs = dz.channels, inputs = window.inputs, width = dz.width;
        const int tiles = tile_count(outputs, SLOPES), most = band_rows(dz.height, width);
        for (int line = 0; line < dz.height; line += most) {
            const int rows = std::min(most, dz.height - line);
            const Band in = input_band(room, inputs, rows, width);
            const Band slopes = slope_band(in, outputs, rows);
            for (int c = 0; c < inputs; c++)
                for (int r = 0; r < rows + 2; r++)
                    transform_inputs(x + c * window.plane + (line + r) * window.row, width, in, c,
                                     r);
            for (int c = 0; c < outputs; c++)
                for (int r = 0; r < rows; r++)
                    transform_slopes(dz.line(c, line + r), width, slopes, c, r);
            const Window down{3, 1, 1, in.groups, in.groups, 1, 1};  // takes rows for channels
            Reg *to = sums;
            for (int n = 0; n < POINTS; n++, to += 3L * outputs * inputs)
                for (int i = 0, o = 0; i < tiles; i++) {
                    const int T = tile_size(outputs, tiles, i);
                    for (int c = 0; c < inputs; c++)
                        BY_TAP[2][T - 1](down, in.line(n, c, 0), slopes.line(n, o, 0),
                                         slopes.plane(), slopes.groups, 1,
                                         to + 3L * (o * inputs + c), 3L * inputs, 1, rows,
                                         in.groups);
                    o += T;
                }
        }
    }

    // Adds to the weights' gradients what follows from the sums of the products.
    static void settle(const Reg *sums, long pairs, real *gradients) {
        const auto &G = POINTS_OF<M>.g;
        for (long i = 0; i < 3 * pairs; i++, gradients += 3) {
            double total[3] = {};
            for (int n = 0; n < POINTS; n++) {
                const double product = sum(sums[3 * n * pairs + i]);
                for (int tap = 0; tap < 3; tap++) total[tap] += G[n][tap] * product;
            }
            for (int tap = 0; tap < 3; tap++) gradients[tap] += (real)total[tap];
        }
    }
};

// The M of the fastest algorithm (measured); 0 stands for `weight_gradient`. With wide registers,
// transforms weigh more: by a cost model that was fitted to measurements, the transform of a group
// costs as much as 70 multiply-adds of 16 lanes for an input, and 50 for an output. The model
// fails on small planes.
inline int fastest_group(int inputs, int outputs, int height, int width) {
    if (inputs < 4 || outputs < 4 || width < 2) return 0;
    if (WIDE) {
        const double pairs = (double)inputs * outputs, groups = tile_count(width, 4);
        const double sums = 17 * pairs * height;
        const double transforms = 70 * inputs * (height + 2) + 50 * outputs * height;
        const bool pays = groups * (sums + transforms) < 9 * pairs * height * width;
        return width >= 12 && pays ? 4 : 0;
    }
    return width >= 4 && 6 * tile_count(width, 4) < 4 * tile_count(width, 2) ? 4 : 2;
}

}  // namespace
