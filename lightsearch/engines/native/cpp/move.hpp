// Layers that move values and change none: concatenation, split, shuffle, widen and pad.
//
//     y[c][i][j] = x[from(c)][from(i)][from(j)],   or zero where nothing comes from
//
// A split and a wider channel axis shift the channels, a shuffle exchanges them, a pad shifts rows
// and columns.
#pragma once
#include <algorithm>

#include "net.hpp"

namespace {

// The pixel of `size` that comes to place `index` of the padded line; -1: zero.
INLINE int padded_from(int index, int64_t before, int size, int64_t border) {
    const int at = index - (int)before;
    if (at >= 0 && at < size) return at;
    if (border == ZEROS) return -1;
    if (border == REPLICATE) return at < 0 ? 0 : size - 1;
    return at < 0 ? -at : 2 * (size - 1) - at;
}

// The channel that comes to place `channel`; -1: zeros. A shuffle reads g groups of n channels as
// n groups of g.
INLINE int channel_from(const Op &op, int channel, int channels) {
    if (op.groups > 1) {
        const int groups = (int)op.groups, each = channels / groups;
        return channel % groups * each + channel / groups;
    }
    const int at = channel - (int)op.channel;
    return at >= 0 && at < channels ? at : -1;
}

inline void move(const Op &op, View x, View y) {
    for (int c = 0; c < y.channels; c++) {
        const int channel = channel_from(op, c, x.channels);
        for (int i = 0; i < y.height; i++) {
            const int row = padded_from(i, op.top, x.height, op.border);
            Lanes *to = y.line(c, i);
            if (channel < 0 || row < 0) {
                std::fill_n(to, y.width, lanes(0));
                continue;
            }
            const Lanes *from = x.line(channel, row);
            for (int j = 0; j < y.width; j++) {
                const int column = padded_from(j, op.left, x.width, op.border);
                to[j] = column < 0 ? lanes(0) : from[column];
            }
        }
    }
}

inline void move_backward(const Op &op, View dy, View dx) {
    if (!op.adds) clear(dx);
    for (int c = 0; c < dy.channels; c++) {
        const int channel = channel_from(op, c, dx.channels);
        for (int i = 0; channel >= 0 && i < dy.height; i++) {
            const int row = padded_from(i, op.top, dx.height, op.border);
            if (row < 0) continue;
            Lanes *to = dx.line(channel, row);
            for (int j = 0; j < dy.width; j++) {
                const int column = padded_from(j, op.left, dx.width, op.border);
                if (column >= 0) to[column] += dy.line(c, i)[j];
            }
        }
    }
}

// The channels of x, then those of `other`.
inline void concatenate(View x, View other, View y) {
    for (int c = 0; c < y.channels; c++)
        for (int r = 0; r < y.height; r++) {
            const bool first = c < x.channels;
            const Lanes *from = first ? x.line(c, r) : other.line(c - x.channels, r);
            std::copy_n(from, y.width, y.line(c, r));
        }
}

}  // namespace
