// Dense convolution with a window of 3 x 3 and a stride of 1 in fewer multiplications: Winograd's
// F(2 x 2, 3 x 3), after Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016.
//
// Two by two outputs of a channel come from four by four inputs d, its tile, as
//
//     A' [ sum over i of (G w[i] G') . (B' d[i] B) ] A,    . multiplies number by number,
//
//          1  0 -1  0        1   0   0         1  0
//     B' = 0  1  1  0    G = 1/2 1/2 1/2   A = 1  1
//          0 -1  1  0        1/2-1/2 1/2       1 -1
//          0  1  0 -1        0   0   1         0 -1
//
// that is 16 multiplications, where the sum itself takes 36. One tile at a time, so that its
// transform stays in the first cache. B and A cost additions alone: they pay from some eight
// channels on. Where a side is odd, the last tile reads one row or column beyond what the outputs
// see; what comes of it is not written.
#pragma once
#include "convolution.hpp"

namespace {

constexpr int SPOTS = 16;  // numbers of a transformed tile

// B' d B of one tile of a channel.
INLINE void transform_tile(const Lanes *x, long row, Lanes *to) {
    const Lanes *l0 = x, *l1 = x + row, *l2 = l1 + row, *l3 = l2 + row;
    UNROLL for (int s = 2; s < 4; s++)  // what is new in the next tile
        __builtin_prefetch(l2 + s + 2), __builtin_prefetch(l3 + s + 2);
    UNROLL for (int p = 0; p < PARTS; p++) {
        Reg middle[2][4];
        UNROLL for (int s = 0; s < 4; s++) middle[0][s] = l1[s].part[p], middle[1][s] = l2[s].part[p];
        auto across = [&](int r, auto down) {
            const Reg a = down(0), b = down(1), c = down(2), d = down(3);
            to[4 * r].part[p] = a - c;
            to[4 * r + 1].part[p] = b + c;
            to[4 * r + 2].part[p] = c - b;
            to[4 * r + 3].part[p] = b - d;
        };
        across(1, [&](int s) { return middle[0][s] + middle[1][s]; });
        across(2, [&](int s) { return middle[1][s] - middle[0][s]; });
        across(0, [&](int s) { return l0[s].part[p] - middle[1][s]; });
        across(3, [&](int s) { return middle[0][s] - l3[s].part[p]; });
    }
}

// One tile of T output channels, of which `rows` and `columns` are written.
template <int T>
void winograd_tile(const Lanes *tile, int inputs, const real *w, const real *bias,
                   bool add, Lanes *y, long y_plane, long y_row, int rows, int columns) {
    Lanes products[SPOTS][T];
    for (int spot = 0; spot < SPOTS; spot++, tile++) {
        if (spot < 4)  // while there is time
            UNROLL for (int t = 0; t < T; t++)
                __builtin_prefetch(y + t * y_plane + spot / 2 * y_row + spot % 2, 1);
        Lanes sums[T];
        UNROLL for (int t = 0; t < T; t++) sums[t] = lanes(0);
        for (int i = 0; i < inputs; i++, w += T) {
            const Lanes pixel = tile[i * SPOTS];
            UNROLL for (int t = 0; t < T; t++) sums[t] = fma(pixel, w[t], sums[t]);
        }
        UNROLL for (int t = 0; t < T; t++) products[spot][t] = sums[t];
    }
    for (int t = 0; t < T; t++, y += y_plane)
        UNROLL for (int p = 0; p < PARTS; p++) {
            const Reg offset = spread(bias ? bias[t] : 0);
            Reg down[2][4];
            UNROLL for (int s = 0; s < 4; s++) {
                const Reg a = products[s][t].part[p], b = products[4 + s][t].part[p];
                const Reg c = products[8 + s][t].part[p], d = products[12 + s][t].part[p];
                down[0][s] = a + b + c, down[1][s] = b - c - d;
            }
            UNROLL for (int r = 0; r < 2; r++) {
                if (r >= rows) break;
                const Reg(&m)[4] = down[r];
                auto write = [&](int s, Reg v) {
                    Reg &to = y[r * y_row + s].part[p];
                    to = add ? to + v : v + offset;
                };
                write(0, m[0] + m[1] + m[2]);
                if (columns > 1) write(1, m[1] - m[2] - m[3]);
            }
        }
}

typedef void (*WinogradTile)(const Lanes *, int, const real *, const real *, bool, Lanes *,
                             long, long, int, int);
const WinogradTile WINOGRAD_TILES[TILE] = {winograd_tile<1>, winograd_tile<2>, winograd_tile<3>,
                                           winograd_tile<4>, winograd_tile<5>, winograd_tile<6>};

// As `convolve`; `tile` has room for SPOTS transformed numbers of each input, and a row and a
// column beyond the input can be read.
template <class After>
void winograd(Window window, const Lanes *x, View y, const real *weights, const real *bias,
              bool add, Lanes *tile, After after) {
    const int tiles = tile_count(y.channels, TILE), inputs = window.inputs;
    for (int line = 0; line < y.height; line += 2) {
        const int rows = std::min(2, y.height - line);
        for (int column = 0; column < y.width; column += 2) {
            const Lanes *from = x + line * window.row + column;
            for (int i = 0; i < inputs; i++)
                transform_tile(from + i * window.plane, window.row, tile + i * SPOTS);
            for (int k = 0, o = 0; k < tiles; k++) {
                const int size = tile_size(y.channels, tiles, k);
                WINOGRAD_TILES[size - 1](tile, inputs, weights + (long)o * inputs * SPOTS,
                                         bias ? bias + o : nullptr, add,
                                         y.line(o, line) + column, y.plane, y.row, rows,
                                         std::min(2, y.width - column));
                o += size;
            }
        }
        for (int r = 0; r < rows; r++) after(line + r);
    }
}

// Whether that is faster than `convolve`, in multiply-adds of 16 lanes: transforms cost as many as
// forty for each channel of a tile (measured).
INLINE bool winograd_pays(int inputs, int outputs, int height, int width) {
    const long tiles = (long)((height + 1) / 2) * ((width + 1) / 2), pairs = (long)inputs * outputs;
    return tiles * (18 * pairs + 40 * (inputs + outputs)) < 9 * pairs * height * width;
}

// G w G' of every weight in the order that `winograd` reads them: by tile, spot, input, output.
template <class At> void winograd_pack(int outputs, int inputs, real *to, At at) {
    const double G[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
    pack(outputs, SPOTS, inputs, to, [&](int o, int spot, int i) {
        double total = 0;
        for (int r = 0; r < 3; r++)
            for (int s = 0; s < 3; s++)
                total += G[spot / 4][r] * G[spot % 4][s] * at(o, i, 3 * r + s);
        return (real)total;
    });
}

}  // namespace
