// Group norm (Wu and He 2018): normalises each image by groups of its channels. One group is layer
// norm.
//
//     y = w[c] n + b[c],   n = (x - mean) / sqrt(var + eps)
//     dx = (w dy - mean(w dy) - n mean(w dy n)) / sqrt(var + eps)
//
// Means and variance are over the pixels of a group of channels. An image is a lane, so nothing
// depends on the other images of the batch.
#pragma once
#include <cmath>

#include "pointwise.hpp"

namespace {

// The statistics of a block, for the backward pass: one of each group.
struct Moments {
    Lanes *mean, *inverse;
    Moments(const Op &op, Work &work, int64_t block)
        : mean(work.small.data() + block * 2 * op.groups), inverse(mean + op.groups) {}
};

// Calls `run` with the pixel at the same place of two planes, row by row.
template <class Run> INLINE void each_pixel(View x, View y, int channel, Run run) {
    for (int r = 0; r < x.height; r++) {
        Lanes *one = x.line(channel, r), *two = y.line(channel, r);
        for (int s = 0; s < x.width; s++) run(one[s], two[s]);
    }
}

inline void group_norm(const Net &net, const Op &op, Work &work, int64_t block) {
    const View x = net.act(op.source, block), y = net.act(op.target, block);
    const Moments kept(op, work, block);
    const int each = x.channels / (int)op.groups;
    const Lanes share = lanes((real)1 / (each * x.pixels()));
    for (int g = 0; g < op.groups; g++) {
        const int first = g * each;
        Lanes total = lanes(0), squares = lanes(0);
        for (int c = first; c < first + each; c++) total += plane_sum(x, c);
        const Lanes mean = total * share;
        for (int c = first; c < first + each; c++) {
            Lanes plane = lanes(0);
            each_pixel(x, y, c, [&](Lanes v, Lanes) {
                v = v - mean;
                plane = fma(v, v, plane);
            });
            squares += plane;
        }
        Lanes inverse = squares * share;
        for (int i = 0; i < LANES; i++)
            lane(inverse, i) = (real)(1 / std::sqrt(lane(inverse, i) + EPSILON));
        for (int c = first; c < first + each; c++) {
            const Lanes scale = inverse * lanes(gain(net, op.weight, c));
            const Lanes offset = lanes(shift(net, op.bias, c));
            each_pixel(x, y, c, [&](Lanes v, Lanes &to) { to = fma(v - mean, scale, offset); });
        }
        kept.mean[g] = mean, kept.inverse[g] = inverse;
    }
}

inline void group_norm_backward(const Net &net, const Op &op, Work &work, int64_t block) {
    const View x = net.act(op.source, block), dy = net.grad(op.target, block);
    const View dx = net.grad(op.source, block);
    const Moments kept(op, work, block);
    const int each = x.channels / (int)op.groups;
    const Lanes share = lanes((real)1 / (each * x.pixels()));
    for (int g = 0; g < op.groups; g++) {
        const int first = g * each;
        const Lanes mean = kept.mean[g], inverse = kept.inverse[g];
        Lanes all = lanes(0), product = lanes(0);  // of w dy and w dy n, summed over the group
        for (int c = first; c < first + each; c++) {
            Lanes one = lanes(0), two = lanes(0);
            each_pixel(x, dy, c, [&](Lanes v, Lanes d) {
                one += d;
                two = fma(d, (v - mean) * inverse, two);
            });
            const Lanes w = lanes(gain(net, op.weight, c));
            all = fma(one, w, all), product = fma(two, w, product);
            if (op.bias >= 0) net.gradients[op.bias + c] += sum(one);
            if (op.weight >= 0) net.gradients[op.weight + c] += sum(two);
        }
        if (!op.wanted) continue;
        const Lanes pull = product * share * inverse * inverse, push = all * share * inverse;
        for (int c = first; c < first + each; c++) {
            const Lanes slope = inverse * lanes(gain(net, op.weight, c));
            for (int r = 0; r < x.height; r++) {
                const Lanes *from = x.line(c, r), *d = dy.line(c, r);
                Lanes *to = dx.line(c, r);
                for (int s = 0; s < x.width; s++) {
                    const Lanes found = slope * d[s] - pull * (from[s] - mean) - push;
                    to[s] = op.adds ? to[s] + found : found;
                }
            }
        }
    }
}

}  // namespace
