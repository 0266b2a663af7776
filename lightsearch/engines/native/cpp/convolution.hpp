// Convolution with dense groups. A linear layer is a convolution whose window is as large as its
// input.
//
//     z[o][y][x] = b[o] + sum over i, r, s of w[o][i][r][s] * x[i][S*y + D*r - P][S*x + D*s - P]
//
// Inputs have a halo of P zeros, so edges need no code of their own. The innermost tile holds up
// to six output channels of one pixel in registers, or of two pixels if registers are wide.
//
// The gradient of the input is the same sum with the window turned around and the channels
// exchanged. It reads the output's gradient with S - 1 zeros between its pixels and D*(K - 1) - P
// zeros around them: the `spread` gradient. The gradient of the weights is a sum over pixels and
// images,
//
//     dw[o][i][r][s] = sum over y, x of dz[o][y][x] * x[i][S*y + D*r - P][S*x + D*s - P],
//
// which stays separate by lane until the end of the batch.
#pragma once
#include <algorithm>
#include <array>
#include <utility>

#include "net.hpp"

namespace {

constexpr int TILE = 6;               // output channels at once, in 12 registers of sums
constexpr int PIXELS = WIDE ? 2 : 1;  // pixels at once
constexpr int ANY = 0, DILATED = -1;  // in place of a window's side

// The number of channels in tile `index` of `tiles`. Tiles are as even as possible.
INLINE int tile_size(int channels, int tiles, int index) {
    return channels / tiles + (index < channels % tiles);
}
INLINE int tile_count(int channels, int most) { return (channels + most - 1) / most; }

// A window that slides over an input.
struct Window {
    int inputs, height, width;
    long plane, row;  // distances in the input, in pixels
    int step;         // input pixels from one output to the next
    int dilation;     // input pixels from one tap to the next

    bool dilated() const { return dilation > 1; }
};

// Computes N neighbouring pixels of T output channels. SIDE is the window's side; ANY: any window;
// DILATED: any with dilation, whose multiplications would slow the others down.
template <int SIDE, int T, int N>
INLINE void conv_pixels(Window window, const Lanes *x, Lanes *y, long y_plane, const real *w,
                        const real *bias, bool add) {
    const int height = SIDE > 0 ? SIDE : window.height, width = SIDE > 0 ? SIDE : window.width;
    const int apart = SIDE == DILATED ? window.dilation : 1;
    Lanes sums[T][N];
    UNROLL_FOR (int t = 0; t < T; t++)
        UNROLL_FOR (int n = 0; n < N; n++) {
            __builtin_prefetch(y + t * y_plane + n + 8, 1);
            sums[t][n] = add ? y[t * y_plane + n] : lanes(bias ? bias[t] : 0);
        }
    for (int c = 0; c < window.inputs; c++, x += window.plane) {
        const Lanes *line = x;
        UNROLL_FOR (int r = 0; r < height; r++, line += apart * window.row)
            UNROLL_FOR (int s = 0; s < width; s++, w += T) {
                Lanes pixel[N];
                UNROLL_FOR (int n = 0; n < N; n++) pixel[n] = line[s * apart + n * window.step];
                UNROLL_FOR (int t = 0; t < T; t++) {
                    Reg weight = spread(w[t]);
                    if (N > 1) HOLD(weight);
                    UNROLL_FOR (int n = 0; n < N; n++)
                        sums[t][n] = fma(pixel[n], weight, sums[t][n]);
                }
            }
    }
    UNROLL_FOR (int t = 0; t < T; t++)
        UNROLL_FOR (int n = 0; n < N; n++) y[t * y_plane + n] = sums[t][n];
}

// Computes a row of `count` pixels of T output channels.
template <int SIDE, int T>
void conv_row(Window window, const Lanes *x, Lanes *y, long y_plane, const real *weights,
              const real *bias, bool add, int count) {
    int i = 0;
    for (; i + PIXELS <= count; i += PIXELS, x += PIXELS * window.step)
        conv_pixels<SIDE, T, PIXELS>(window, x, y + i, y_plane, weights, bias, add);
    for (; i < count; i++, x += window.step)
        conv_pixels<SIDE, T, 1>(window, x, y + i, y_plane, weights, bias, add);
}

typedef void (*ConvRow)(Window, const Lanes *, Lanes *, long, const real *, const real *, bool,
                        int);
#define ROWS_OF(side)                                         \
    {conv_row<side, 1>, conv_row<side, 2>, conv_row<side, 3>, \
     conv_row<side, 4>, conv_row<side, 5>, conv_row<side, 6>}
const ConvRow CONV_ROWS[4][TILE] = {ROWS_OF(ANY), ROWS_OF(1), ROWS_OF(3), ROWS_OF(DILATED)};

INLINE int side_index(const Window &window) {
    if (window.dilated()) return 3;
    if (window.height != window.width) return 0;
    return window.height == 1 ? 1 : window.height == 3 ? 2 : 0;
}

// Computes the sum above for one group, and adds it to y if `add`. `x` points at the first tap of
// the first output. Calls `after(row)` once a row of all channels is done, while it is in the
// cache.
template <class After>
void convolve(Window window, const Lanes *x, View y, const real *weights, const real *bias,
              bool add, After after) {
    const ConvRow *rows = CONV_ROWS[side_index(window)];
    const long taps = (long)window.inputs * window.height * window.width;
    const int tiles = tile_count(y.channels, TILE);
    for (int line = 0; line < y.height; line++) {
        const Lanes *from = x + line * window.row * window.step;
        for (int i = 0, c = 0; i < tiles; i++) {
            int size = tile_size(y.channels, tiles, i);
            rows[size - 1](window, from, y.line(c, line), y.plane, weights + c * taps,
                           bias ? bias + c : nullptr, add, y.width);
            c += size;
        }
        after(line);
    }
}

// Writes the weights of a group in the order that `convolve` reads them: by tile, input, tap and
// output. `at(o, i, tap)` returns a weight.
template <class At> void pack(int outputs, int inputs, int taps, real *to, At at) {
    const int tiles = tile_count(outputs, TILE);
    for (int tile = 0, o = 0; tile < tiles; tile++) {
        int size = tile_size(outputs, tiles, tile);
        for (int i = 0; i < inputs; i++)
            for (int tap = 0; tap < taps; tap++)
                for (int t = 0; t < size; t++) *to++ = at(o + t, i, tap);
        o += size;
    }
}

// Adds to the weight gradient of T outputs and TI inputs, for ACROSS taps of one row of the
// window, over `rows` rows of pixels. `sums` holds a register per weight.
template <int ACROSS, int T, int TI>
void weight_rows(Window window, const Lanes *x, const Lanes *dz, long dz_plane, long dz_row,
                 int dz_step, Reg *sums, long sums_output, long sums_input, int rows, int count) {
    Reg a[T][TI * ACROSS];
    UNROLL_FOR (int t = 0; t < T; t++)
        UNROLL_FOR (int j = 0; j < TI * ACROSS; j++)
            a[t][j] = sums[t * sums_output + j / ACROSS * sums_input + j % ACROSS];
    for (int r = 0; r < rows; r++, x += window.row * window.step, dz += dz_row) {
        const Lanes *at = x, *d = dz;
        for (int i = 0; i < count; i++, at += window.step, d += dz_step)
            UNROLL_FOR (int p = 0; p < PARTS; p++) {
                Reg pixel[TI * ACROSS];
                UNROLL_FOR (int j = 0; j < TI * ACROSS; j++)
                    pixel[j] = at[j / ACROSS * window.plane + j % ACROSS].part[p];
                UNROLL_FOR (int t = 0; t < T; t++) {
                    Reg slope = d[t * dz_plane].part[p];
                    HOLD(slope);
                    UNROLL_FOR (int j = 0; j < TI * ACROSS; j++)
                        a[t][j] = fma(slope, pixel[j], a[t][j]);
                }
            }
    }
    UNROLL_FOR (int t = 0; t < T; t++)
        UNROLL_FOR (int j = 0; j < TI * ACROSS; j++)
            sums[t * sums_output + j / ACROSS * sums_input + j % ACROSS] = a[t][j];
}

typedef void (*WeightRows)(Window, const Lanes *, const Lanes *, long, long, int, Reg *, long,
                           long, int, int);
constexpr int SLOPES = WIDE ? 8 : 4;  // output channels at once, for three inputs or taps
typedef std::array<WeightRows, SLOPES> WeightKernels;  // for 1 to SLOPES outputs

template <int ACROSS, int TI, int... T>
constexpr WeightKernels weight_kernels(std::integer_sequence<int, T...>) {
    return {weight_rows<ACROSS, T + 1, TI>...};
}
template <int ACROSS, int TI>
constexpr WeightKernels WEIGHT_KERNELS =
    weight_kernels<ACROSS, TI>(std::make_integer_sequence<int, SLOPES>());
constexpr const WeightKernels &BY_THREE_TAPS = WEIGHT_KERNELS<3, 1>;
constexpr WeightKernels BY_TAP[3] = {WEIGHT_KERNELS<1, 1>, WEIGHT_KERNELS<1, 2>,
                                     WEIGHT_KERNELS<1, 3>};

// Adds the gradient of one group's weights over one block to sums[o][i][tap].
inline void weight_gradient(Window window, const Lanes *x, View dz, int dz_step, Reg *sums) {
    const int taps = window.height * window.width, outputs = dz.channels, inputs = window.inputs;
    const int at_once = std::max(1, 64 / dz.width);  // rows that fit in the first cache
    const int output_tiles = tile_count(outputs, SLOPES), input_tiles = tile_count(inputs, 3);
    for (int line = 0; line < dz.height; line += at_once) {
        const int rows = std::min(at_once, dz.height - line);
        const Lanes *from = x + line * window.row * window.step;
        for (int i = 0, o = 0; i < output_tiles; i++) {
            const int T = tile_size(outputs, output_tiles, i);
            const Lanes *d = dz.at + o * dz.plane + line * dz.row;
            auto tap = [&](int r, int s) { return window.dilation * (r * window.row + s); };
            auto run = [&](const WeightKernels &kernels, int input, int r, int s) {
                kernels[T - 1](window, from + input * window.plane + tap(r, s), d, dz.plane,
                               dz.row, dz_step,
                               sums + ((long)o * inputs + input) * taps + r * window.width + s,
                               (long)inputs * taps, taps, rows, dz.width);
            };
            if (window.width == 3 && !window.dilated()) {
                for (int c = 0; c < inputs; c++)
                    for (int r = 0; r < window.height; r++) run(BY_THREE_TAPS, c, r, 0);
            } else {
                for (int r = 0; r < window.height; r++)
                    for (int s = 0; s < window.width; s++)
                        for (int j = 0, c = 0; j < input_tiles; j++) {
                            int size = tile_size(inputs, input_tiles, j);
                            run(BY_TAP[size - 1], c, r, s);
                            c += size;
                        }
            }
            o += T;
        }
    }
}

}  // namespace
