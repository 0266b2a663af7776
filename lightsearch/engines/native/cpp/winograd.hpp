// Dense convolution with a window of 3 x 3 and a stride of 1 in fewer multiplications: Winograd's
// F(M x M, 3 x 3), M = 2 or 4, after Lavin and Gray, "Fast algorithms for convolutional neural
// networks", 2016.
//
// M x M outputs of a channel follow from a tile d of (M + 2) x (M + 2) inputs as
//
//     A' [ sum over i of (G w[i] G') . (B' d[i] B) ] A,    where . multiplies number by number,
//
// with the matrices of points.hpp. M = 2 takes 16 multiplications instead of 36, M = 4 takes 36
// instead of 144. Tiles are computed one at a time, so that a transformed tile stays near the
// core.
//
// Larger tiles cover most of a plane, and smaller ones a rest of one or two rows and columns; or
// one size covers everything. If the size does not divide a side, the last tile overlaps its
// neighbour and writes only the outputs that are new.
#pragma once
#include <algorithm>
#include <type_traits>

#include "convolution.hpp"
#include "points.hpp"

namespace {

template <int M> struct Winograd {
    static constexpr int SIDE = M + 2, SPOTS = SIDE * SIDE;  // of a transformed tile

    // Computes B' d B of one tile of a channel.
    static APART void transform(const Lanes *x, long row, Lanes *to) {
        const Lanes *line[SIDE];
        UNROLL_FOR (int r = 0; r < SIDE; r++) line[r] = x + r * row;
        UNROLL_FOR (int r = 2; r < SIDE; r++)  // the pixels that the next tile adds
            UNROLL_FOR (int s = 2; s < SIDE; s++) __builtin_prefetch(line[r] + s + M, 0, 2);
        UNROLL_FOR (int p = 0; p < PARTS; p++)
            UNROLL_FOR (int pair = 0; pair < SIDE; pair += 2) {
                Reg down[2][SIDE];
                UNROLL_FOR (int s = 0; s < SIDE; s++)
                    to_points<M>(
                        pair / 2, [&](int r) { return line[r][s].part[p]; }, down[0][s],
                        down[1][s]);
                UNROLL_FOR (int r = 0; r < 2; r++)
                    UNROLL_FOR (int s = 0; s < SIDE; s += 2) {
                        Lanes *at = to + (pair + r) * SIDE + s;
                        to_points<M>(
                            s / 2, [&](int i) { return down[r][i]; }, at[0].part[p],
                            at[1].part[p]);
                    }
            }
    }

    // Computes A' m A of one tile of a channel, without its first `rows` rows and `columns`
    // columns. The numbers of m lie `apart` apart.
    static APART void settle(const Lanes *m, long apart, real bias, bool add, Lanes *y, long row,
                             int rows, int columns) {
        const Reg offset = spread(bias);
        UNROLL_FOR (int p = 0; p < PARTS; p++)
            UNROLL_FOR (int parity = 0; parity < 2; parity++) {
                Reg down[SIDE][M / 2];
                UNROLL_FOR (int s = 0; s < SIDE; s++)
                    from_points<M>(
                        parity, [&](int r) { return m[(r * SIDE + s) * apart].part[p]; }, down[s]);
                UNROLL_FOR (int r = 0; r < M / 2; r++) {
                    const int line = 2 * r + parity;
                    if (line < rows) continue;
                    UNROLL_FOR (int across = 0; across < 2; across++) {
                        Reg found[M / 2];
                        from_points<M>(across, [&](int s) { return down[s][r]; }, found);
                        UNROLL_FOR (int s = 0; s < M / 2; s++) {
                            if (2 * s + across < columns) continue;
                            Reg &to = y[line * row + 2 * s + across].part[p];
                            to = found[s] + (add ? to : offset);
                        }
                    }
                }
            }
    }

    // Computes a tile of T output channels, without its first `rows` rows and `columns` columns.
    template <int T>
    static void multiply(const Lanes *tile, int inputs, const real *w, const real *bias, bool add,
                         Lanes *y, long y_plane, long y_row, int rows, int columns) {
        Lanes products[SPOTS][T];
        for (int spot = 0; spot < SPOTS; spot++, tile++) {
            if (spot < M * M)  // prefetches the outputs, one per spot
                UNROLL_FOR (int t = 0; t < T; t++)
                    __builtin_prefetch(y + t * y_plane + spot / M * y_row + spot % M, 1);
            Lanes sums[T];
            UNROLL_FOR (int t = 0; t < T; t++) sums[t] = lanes(0);
            for (int i = 0; i < inputs; i++, w += T) {
                const Lanes pixel = tile[i * SPOTS];
                UNROLL_FOR (int t = 0; t < T; t++) sums[t] = fma(pixel, w[t], sums[t]);
            }
            UNROLL_FOR (int t = 0; t < T; t++) products[spot][t] = sums[t];
        }
        for (int t = 0; t < T; t++, y += y_plane)
            settle(products[0] + t, T, bias ? bias[t] : 0, add, y, y_row, rows, columns);
    }

    // Computes a row of tiles: the outputs from row `line` on, from column `begin` to `end`.
    static void run(Window window, const Lanes *x, View y, const real *weights, const real *bias,
                    bool add, Lanes *tile, int line, int begin, int end) {
        typedef void (*Multiply)(const Lanes *, int, const real *, const real *, bool, Lanes *,
                                 long, long, int, int);
        static const Multiply MULTIPLY[TILE] = {multiply<1>, multiply<2>, multiply<3>,
                                                multiply<4>, multiply<5>, multiply<6>};
        const int tiles = tile_count(y.channels, TILE), inputs = window.inputs;
        const int top = std::min(line, y.height - M);
        for (int column = begin; column < end; column += M) {
            const int left = std::min(column, y.width - M);
            const Lanes *from = x + top * window.row + left;
            for (int i = 0; i < inputs; i++)
                transform(from + i * window.plane, window.row, tile + i * SPOTS);
            for (int k = 0, o = 0; k < tiles; k++) {
                const int size = tile_size(y.channels, tiles, k);
                MULTIPLY[size - 1](tile, inputs, weights + (long)o * inputs * SPOTS,
                                   bias ? bias + o : nullptr, add, y.line(o, top) + left, y.plane,
                                   y.row, line - top, column - left);
                o += size;
            }
        }
    }

    // Writes G w G' of every weight in the order that `multiply` reads them: by tile of outputs,
    // spot, input and output.
    template <class At> static void pack(int outputs, int inputs, real *to, At at) {
        const auto &G = POINTS_OF<M>.g;
        for (int k = 0, o = 0, tiles = tile_count(outputs, TILE); k < tiles; k++) {
            const int size = tile_size(outputs, tiles, k);
            for (int i = 0; i < inputs; i++)
                for (int t = 0; t < size; t++) {
                    double w[9], down[SIDE][3];
                    for (int tap = 0; tap < 9; tap++) w[tap] = at(o + t, i, tap);
                    auto times = [](const double *g, double a, double b, double c) {
                        return g[0] * a + g[1] * b + g[2] * c;
                    };
                    for (int r = 0; r < SIDE; r++)
                        for (int s = 0; s < 3; s++)
                            down[r][s] = times(G[r], w[s], w[3 + s], w[6 + s]);
                    for (int spot = 0; spot < SPOTS; spot++) {
                        const double *d = down[spot / SIDE];
                        to[((long)spot * inputs + i) * size + t] =
                            (real)times(G[spot % SIDE], d[0], d[1], d[2]);
                    }
                }
            to += (long)SPOTS * inputs * size;
            o += size;
        }
    }
};

// How many numbers replace the nine of a window of weights.
INLINE int spots(Tiling tiling) {
    return (tiling.fours ? Winograd<4>::SPOTS : 0) + (tiling.twos ? Winograd<2>::SPOTS : 0);
}
// How many numbers a transformed tile of all inputs has.
INLINE size_t tile_room(Tiling tiling, int inputs) {
    if (tiling.fours) return (size_t)inputs * Winograd<4>::SPOTS;
    return tiling.twos ? (size_t)inputs * Winograd<2>::SPOTS : 0;
}

// The fastest tiling, by a cost model that was fitted to measurements. In multiply-adds of 16
// lanes, a tile costs 1.1 times its products, plus 200 (4 x 4) or 40 (2 x 2) per channel for
// transforms.
inline Tiling fastest_tiling(int inputs, int outputs, int height, int width) {
    const double pairs = (double)inputs * outputs, channels = inputs + outputs;
    const double large = 1.1 * Winograd<4>::SPOTS * pairs + 200 * channels;
    const double small = 1.1 * Winograd<2>::SPOTS * pairs + 40 * channels;
    Tiling best;
    double least = 9 * pairs * height * width;  // the cost of `convolve`
    auto twos = [](int rows, int columns) { return tile_count(rows, 2) * tile_count(columns, 2); };
    for (int rows : {0, height / 4 * 4, height})
        for (int columns : {0, width / 4 * 4, width}) {
            if ((rows == 0) != (columns == 0) || std::min(height, width) < (rows ? 4 : 2))
                continue;
            const double cost = large * tile_count(rows, 4) * tile_count(columns, 4) +
                                small * (twos(rows, width - columns) + twos(height - rows, width));
            if (cost >= least) continue;
            best = {rows, columns, rows > 0, rows < height || columns < width};
            least = cost;
        }
    return best;
}

// As `convolve`. The weights for tiles of 4 x 4 come first, then those for 2 x 2, each if there
// are such tiles. `tile` has room for one transformed tile of all inputs.
template <class After>
void convolve_tiles(Tiling tiling, Window window, const Lanes *x, View y, const real *weights,
                    const real *bias, bool add, Lanes *tile, After after) {
    const long fours = tiling.fours ? Winograd<4>::SPOTS * (long)window.inputs * y.channels : 0;
    auto run = [&](auto m, int line, int begin, int end) {
        Winograd<m()>::run(window, x, y, weights + (m() == 4 ? 0 : fours), bias, add, tile, line,
                           begin, end);
    };
    const std::integral_constant<int, 4> four;
    const std::integral_constant<int, 2> two;
    for (int line = 0; line < y.height;) {
        const bool large = line < tiling.rows;
        const int next = std::min(line + (large ? 4 : 2), y.height);
        if (large) run(four, line, 0, tiling.columns);
        for (int r = line; r < next; r += 2) run(two, r, large ? tiling.columns : 0, y.width);
        for (; line < next; line++) after(line);
    }
}

template <class At>
void pack_tiles(Tiling tiling, int outputs, int inputs, real *to, At at) {
    if (tiling.fours) {
        Winograd<4>::pack(outputs, inputs, to, at);
        to += Winograd<4>::SPOTS * (long)inputs * outputs;
    }
    if (tiling.twos) Winograd<2>::pack(outputs, inputs, to, at);
}

}  // namespace
