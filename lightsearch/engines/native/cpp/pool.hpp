// Pooling. Max: the largest value of each window; of equal ones the first, row by row, gets the
// gradient, as in PyTorch. Average: windows that reach over the edge count zeros, as in PyTorch.
// Global: the mean of each plane.
#pragma once
#include <algorithm>

#include "net.hpp"

namespace {

// The part of window `index` that lies on an input of `size`.
struct Span {
    int from, to;
    Span(int index, const Op &op, int kernel, int size)
        : from(std::max<int>(0, index * op.stride - op.padding)),
          to(std::min<int>(size, index * op.stride - op.padding + kernel)) {}
};

inline void max_pool(const Op &op, View x, View y) {
    for (int c = 0; c < y.channels; c++)
        for (int i = 0; i < y.height; i++) {
            Span rows(i, op, op.height, x.height);
            for (int j = 0; j < y.width; j++) {
                Span columns(j, op, op.width, x.width);
                Lanes best = x.line(c, rows.from)[columns.from];
                for (int r = rows.from; r < rows.to; r++)
                    for (int s = columns.from; s < columns.to; s++) {
                        const Lanes v = x.line(c, r)[s];
                        EACH best.part[p] = choose(v.part[p] > best.part[p], v.part[p],
                                                   best.part[p]);
                    }
                y.line(c, i)[j] = best;
            }
        }
}

INLINE void clear(View x) {
    for (int c = 0; c < x.channels; c++)
        for (int r = 0; r < x.height; r++) std::fill_n(x.line(c, r), x.width, lanes(0));
}

// One window: the first of its largest values gets the gradient. ALONE: no other window has these
// pixels, and nothing is to be added to.
template <bool ALONE>
INLINE void max_pool_window(View x, View dx, int c, Span rows, Span columns, Lanes best, Lanes d) {
    Mask open[PARTS];
    EACH open[p] = ~Mask{};
    for (int r = rows.from; r < rows.to; r++) {
        const Lanes *from = x.line(c, r);
        Lanes *to = dx.line(c, r);
        for (int s = columns.from; s < columns.to; s++)
            EACH {
                Mask here = open[p] & (from[s].part[p] == best.part[p]);
                Reg share = where(here, d.part[p]);
                to[s].part[p] = ALONE ? share : to[s].part[p] + share;
                open[p] &= ~here;
            }
    }
}

inline void max_pool_backward(const Op &op, View x, View y, View dy, View dx) {
    const bool alone = !op.adds && op.stride >= op.height && op.padding == 0;
    const bool tiled = alone && op.stride == op.height && x.height == y.height * op.stride &&
                       x.width == y.width * op.stride;
    if (!op.adds && !tiled) clear(dx);
    for (int c = 0; c < y.channels; c++)
        for (int i = 0; i < y.height; i++) {
            Span rows(i, op, op.height, x.height);
            const Lanes *best = y.line(c, i), *d = dy.line(c, i);
            for (int j = 0; j < y.width; j++) {
                Span columns(j, op, op.width, x.width);
                if (alone) max_pool_window<true>(x, dx, c, rows, columns, best[j], d[j]);
                else max_pool_window<false>(x, dx, c, rows, columns, best[j], d[j]);
            }
        }
}

inline void average_pool(const Op &op, View x, View y) {
    const Lanes share = lanes((real)1 / (op.height * op.width));
    for (int c = 0; c < y.channels; c++)
        for (int i = 0; i < y.height; i++) {
            Span rows(i, op, op.height, x.height);
            for (int j = 0; j < y.width; j++) {
                Span columns(j, op, op.width, x.width);
                Lanes total = lanes(0);
                for (int r = rows.from; r < rows.to; r++)
                    for (int s = columns.from; s < columns.to; s++) total += x.line(c, r)[s];
                y.line(c, i)[j] = total * share;
            }
        }
}

inline void average_pool_backward(const Op &op, View dy, View dx) {
    const Lanes share = lanes((real)1 / (op.height * op.width));
    if (!op.adds) clear(dx);
    for (int c = 0; c < dy.channels; c++)
        for (int i = 0; i < dy.height; i++) {
            Span rows(i, op, op.height, dx.height);
            for (int j = 0; j < dy.width; j++) {
                Span columns(j, op, op.width, dx.width);
                const Lanes d = dy.line(c, i)[j] * share;
                for (int r = rows.from; r < rows.to; r++)
                    for (int s = columns.from; s < columns.to; s++) dx.line(c, r)[s] += d;
            }
        }
}

INLINE Lanes plane_sum(View x, int channel) {
    Lanes total = lanes(0);
    for (int r = 0; r < x.height; r++) {
        Lanes row = lanes(0);
        for (int s = 0; s < x.width; s++) row += x.line(channel, r)[s];
        total += row;
    }
    return total;
}

inline void global_pool(View x, View y) {
    const Lanes share = lanes((real)1 / x.pixels());
    for (int c = 0; c < x.channels; c++) *y.line(c, 0) = plane_sum(x, c) * share;
}

inline void global_pool_backward(const Op &op, View dy, View dx) {
    const Lanes share = lanes((real)1 / dx.pixels());
    for (int c = 0; c < dx.channels; c++) {
        const Lanes d = *dy.line(c, 0) * share;
        for (int r = 0; r < dx.height; r++) {
            Lanes *to = dx.line(c, r);
            for (int s = 0; s < dx.width; s++) to[s] = op.adds ? to[s] + d : d;
        }
    }
}

}  // namespace
