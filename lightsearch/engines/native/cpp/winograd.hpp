// Dense convolution with a window of 3 x 3 and a stride of 1 in fewer multiplications: Winograd's
// F(M x M, 3 x 3), M = 2 or 4, after Lavin and Gray, "Fast algorithms for convolutional neural
// networks", 2016.
//
// M by M outputs of a channel come from M + 2 by M + 2 inputs d, its tile, as
//
//     A' [ sum over i of (G w[i] G') . (B' d[i] B) ] A,    . multiplies number by number,
//
// with the matrices of points.hpp: that is 16 multiplications where the sum itself takes 36, or 36
// where it takes 144. One tile at a time, so that its transform stays in the first cache. Where M
// does not divide a side, the last tile lies back over its neighbour's outputs and writes those
// that are new.
#pragma once
#include "convolution.hpp"
#include "points.hpp"

namespace {

template <int M> struct Winograd {
    static constexpr int SIDE = M + 2, SPOTS = SIDE * SIDE;  // of a transformed tile

    // B' d B of one tile of a channel.
    static APART void transform(const Lanes *x, long row, Lanes *to) {
        const Lanes *line[SIDE];
        UNROLL for (int r = 0; r < SIDE; r++) line[r] = x + r * row;
        UNROLL for (int r = 2; r < SIDE; r++)  // what is new in the next tile
            UNROLL for (int s = 2; s < SIDE; s++) __builtin_prefetch(line[r] + s + M, 0, 2);
        UNROLL for (int p = 0; p < PARTS; p++)
            UNROLL for (int pair = 0; pair < SIDE; pair += 2) {
                Reg down[2][SIDE];
                UNROLL for (int s = 0; s < SIDE; s++)
                    to_points<M>(pair / 2, [&](int r) { return line[r][s].part[p]; },
                                 down[0][s], down[1][s]);
                UNROLL for (int r = 0; r < 2; r++)
                    UNROLL for (int s = 0; s < SIDE; s += 2) {
                        Lanes *at = to + (pair + r) * SIDE + s;
                        to_points<M>(s / 2, [&](int i) { return down[r][i]; }, at[0].part[p],
                                     at[1].part[p]);
                    }
            }
    }

    // A' m A of one tile of a channel, without its first `rows` rows and `columns` columns. A
    // number of m comes every `apart`.
    static APART void settle(const Lanes *m, long apart, real bias, bool add, Lanes *y, long row,
                             int rows, int columns) {
        const Reg offset = spread(bias);
        UNROLL for (int p = 0; p < PARTS; p++)
            UNROLL for (int parity = 0; parity < 2; parity++) {
                Reg down[SIDE][M / 2];
                UNROLL for (int s = 0; s < SIDE; s++)
                    from_points<M>(parity,
                                   [&](int r) { return m[(r * SIDE + s) * apart].part[p]; },
                                   down[s]);
                UNROLL for (int r = 0; r < M / 2; r++) {
                    const int line = 2 * r + parity;
                    if (line < rows) continue;
                    UNROLL for (int across = 0; across < 2; across++) {
                        Reg found[M / 2];
                        from_points<M>(across, [&](int s) { return down[s][r]; }, found);
                        UNROLL for (int s = 0; s < M / 2; s++) {
                            if (2 * s + across < columns) continue;
                            Reg &to = y[line * row + 2 * s + across].part[p];
                            to = found[s] + (add ? to : offset);
                        }
                    }
                }
            }
    }

    // One tile of T output channels, without its first `rows` rows and `columns` columns.
    template <int T>
    static void multiply(const Lanes *tile, int inputs, const real *w, const real *bias, bool add,
                         Lanes *y, long y_plane, long y_row, int rows, int columns) {
        Lanes products[SPOTS][T];
        for (int spot = 0; spot < SPOTS; spot++, tile++) {
            if (spot < M * M)  // while there is time
                UNROLL for (int t = 0; t < T; t++)
                    __builtin_prefetch(y + t * y_plane + spot / M * y_row + spot % M, 1);
            Lanes sums[T];
            UNROLL for (int t = 0; t < T; t++) sums[t] = lanes(0);
            for (int i = 0; i < inputs; i++, w += T) {
                const Lanes pixel = tile[i * SPOTS];
                UNROLL for (int t = 0; t < T; t++) sums[t] = fma(pixel, w[t], sums[t]);
            }
            UNROLL for (int t = 0; t < T; t++) products[spot][t] = sums[t];
        }
        for (int t = 0; t < T; t++, y += y_plane)
            settle(products[0] + t, T, bias ? bias[t] : 0, add, y, y_row, rows, columns);
    }

    // As `convolve`; `tile` has room for SPOTS numbers of each input.
    template <class After>
    static void convolve(Window window, const Lanes *x, View y, const real *weights,
                         const real *bias, bool add, Lanes *tile, After after) {
        typedef void (*Multiply)(const Lanes *, int, const real *, const real *, bool, Lanes *,
                                 long, long, int, int);
        static const Multiply MULTIPLY[TILE] = {multiply<1>, multiply<2>, multiply<3>,
                                                multiply<4>, multiply<5>, multiply<6>};
        const int tiles = tile_count(y.channels, TILE), inputs = window.inputs;
        for (int line = 0; line < y.height; line += M) {
            const int top = std::min(line, y.height - M);
            for (int column = 0; column < y.width; column += M) {
                const int left = std::min(column, y.width - M);
                const Lanes *from = x + top * window.row + left;
                for (int i = 0; i < inputs; i++)
                    transform(from + i * window.plane, window.row, tile + i * SPOTS);
                for (int k = 0, o = 0; k < tiles; k++) {
                    const int size = tile_size(y.channels, tiles, k);
                    MULTIPLY[size - 1](tile, inputs, weights + (long)o * inputs * SPOTS,
                                       bias ? bias + o : nullptr, add, y.line(o, top) + left,
                                       y.plane, y.row, line - top, column - left);
                    o += size;
                }
            }
            for (int r = line; r < top + M; r++) after(r);
        }
    }

    // G w G' of every weight in the order that `multiply` reads them: by tile, spot, input, output.
    template <class At> static void pack(int outputs, int inputs, real *to, At at) {
        constexpr Weighting<M> G;
        for (int k = 0, o = 0, tiles = tile_count(outputs, TILE); k < tiles; k++) {
            const int size = tile_size(outputs, tiles, k);
            for (int i = 0; i < inputs; i++)
                for (int t = 0; t < size; t++) {
                    double down[SIDE][3] = {};
                    for (int r = 0; r < SIDE; r++)
                        for (int s = 0; s < 9; s++)
                            down[r][s % 3] += G.at[r][s / 3] * at(o + t, i, s);
                    for (int spot = 0; spot < SPOTS; spot++) {
                        const double *g = G.at[spot % SIDE], *d = down[spot / SIDE];
                        to[((long)spot * inputs + i) * size + t] =
                            (real)(g[0] * d[0] + g[1] * d[1] + g[2] * d[2]);
                    }
                }
            to += (long)SPOTS * inputs * size;
            o += size;
        }
    }

    // In multiply-adds of 16 lanes; the transforms of a channel's tile cost as many as `each`.
    static double cost(int inputs, int outputs, int height, int width, double each) {
        if (height < M || width < M) return 1e300;
        const double tiles = (double)tile_count(height, M) * tile_count(width, M);
        return tiles * (1.1 * SPOTS * inputs * outputs + each * (inputs + outputs));
    }
};

// The M of the fastest algorithm; 0 is `convolve` (costs were measured).
inline int fastest_tile(int inputs, int outputs, int height, int width) {
    const double direct = 9.0 * inputs * outputs * height * width;
    const double two = Winograd<2>::cost(inputs, outputs, height, width, 40);
    const double four = Winograd<4>::cost(inputs, outputs, height, width, 200);
    return direct <= std::min(two, four) ? 0 : two <= four ? 2 : 4;
}

}  // namespace
