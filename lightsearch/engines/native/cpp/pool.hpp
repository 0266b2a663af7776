// Pooling, as in PyTorch. Max pooling gives the gradient to the first of equal values, row by row.
// Average pooling counts the zeros of windows that reach over the edge. Global pooling is the mean
// of each plane.
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

INLINE Lanes larger(Lanes a, Lanes b) {  // a if they are equal; NaN is above any number
    UNROLL_FOR (int p = 0; p < PARTS; p++) {
        const Reg x = a.part[p], y = b.part[p];
        a.part[p] = choose((y > x) | (y != y), y, x);
    }
    return a;
}

// Whether windows are the usual ones, 2 x 2 side by side, which need no checks at edges.
INLINE bool usual(const Op &op) {
    return op.height == 2 && op.width == 2 && op.stride == 2 && op.padding == 0;
}

inline void max_pool(const Op &op, View x, View y) {
    for (int c = 0; c < y.channels; c++)
        for (int i = 0; i < y.height; i++) {
            Lanes *to = y.line(c, i);
            if (usual(op)) {
                const Lanes *upper = x.line(c, 2 * i), *lower = x.line(c, 2 * i + 1);
                for (int j = 0; j < y.width; j++)
                    to[j] = larger(larger(larger(upper[2 * j], upper[2 * j + 1]), lower[2 * j]),
                                   lower[2 * j + 1]);
                continue;
            }
            const Span rows(i, op, op.height, x.height);
            for (int j = 0; j < y.width; j++) {
                const Span columns(j, op, op.width, x.width);
                Lanes best = x.line(c, rows.from)[columns.from];
                for (int r = rows.from; r < rows.to; r++)
                    for (int s = columns.from; s < columns.to; s++)
                        best = larger(best, x.line(c, r)[s]);
                to[j] = best;
            }
        }
}

// The gradient d in lanes where x is the first of the largest values, else 0. `open` marks the
// lanes that have not found theirs yet.
INLINE Lanes first_share(Mask (&open)[PARTS], Lanes x, Lanes best, Lanes d) {
    UNROLL_FOR (int p = 0; p < PARTS; p++) {
        const Mask here = open[p] & (x.part[p] == best.part[p]);
        open[p] &= ~here;
        d.part[p] = where(here, d.part[p]);
    }
    return d;
}

inline void max_pool_backward(const Op &op, View x, View y, View dy, View dx) {
    const bool fills = usual(op) && !op.adds && x.height % 2 == 0 && x.width % 2 == 0;
    if (!op.adds && !fills) clear(dx);
    for (int c = 0; c < y.channels; c++)
        for (int i = 0; i < y.height; i++) {
            const Lanes *best = y.line(c, i), *d = dy.line(c, i);
            const Span rows(i, op, op.height, x.height);
            for (int j = 0; j < y.width; j++) {
                Mask open[PARTS];
                UNROLL_FOR (int p = 0; p < PARTS; p++) open[p] = ~Mask{};
                if (fills) {
                    UNROLL_FOR (int k = 0; k < 4; k++) {
                        const int r = 2 * i + k / 2, s = 2 * j + k % 2;
                        fetch_to_write(dx.line(c, r) + s, AHEAD);
                        dx.line(c, r)[s] = first_share(open, x.line(c, r)[s], best[j], d[j]);
                    }
                    continue;
                }
                const Span columns(j, op, op.width, x.width);
                for (int r = rows.from; r < rows.to; r++)
                    for (int s = columns.from; s < columns.to; s++)
                        dx.line(c, r)[s] += first_share(open, x.line(c, r)[s], best[j], d[j]);
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
            for (int s = 0; s < dx.width; s++) {
                fetch_to_write(to + s, AHEAD);
                to[s] = op.adds ? to[s] + d : d;
            }
        }
    }
}

}  // namespace
