// Residual addition, y = x + shortcut, and nearest-neighbour resizing of a shortcut:
// y[i][j] = x[i * h / H][j * w / W], with indices rounded down.
#pragma once
#include <algorithm>

#include "net.hpp"

namespace {

inline void add(View x, View shortcut, View y) {
    for (int c = 0; c < y.channels; c++)
        for (int r = 0; r < y.height; r++)
            for (int s = 0; s < y.width; s++)
                y.line(c, r)[s] = x.line(c, r)[s] + shortcut.line(c, r)[s];
}

// dx = dy, added if `adds`.
inline void pass_on(View dy, View dx, bool adds) {
    for (int c = 0; c < dx.channels; c++)
        for (int r = 0; r < dx.height; r++) {
            const Lanes *from = dy.line(c, r);
            Lanes *to = dx.line(c, r);
            for (int s = 0; s < dx.width; s++) to[s] = adds ? to[s] + from[s] : from[s];
        }
}

// The pixel, of `before`, that becomes pixel `index` of `after`. PyTorch multiplies in float. If
// the quotient is whole but not exact in float, the result is one less (as from 26 to 22 pixels).
INLINE int nearest(int index, int before, int after) {
    const float scale = (float)before / (float)after;
    return std::min((int)((float)index * scale), before - 1);
}

inline void resize(View x, View y) {
    for (int c = 0; c < y.channels; c++)
        for (int r = 0; r < y.height; r++) {
            const Lanes *from = x.line(c, nearest(r, x.height, y.height));
            for (int s = 0; s < y.width; s++) y.line(c, r)[s] = from[nearest(s, x.width, y.width)];
        }
}

inline void resize_backward(const Op &op, View dy, View dx) {
    if (!op.adds) clear(dx);
    for (int c = 0; c < dy.channels; c++)
        for (int r = 0; r < dy.height; r++) {
            Lanes *to = dx.line(c, nearest(r, dx.height, dy.height));
            for (int s = 0; s < dy.width; s++)
                to[nearest(s, dx.width, dy.width)] += dy.line(c, r)[s];
        }
}

}  // namespace
