// A leaky ReLU with a learned slope a channel: y = x if x > 0, else w x (He et al. 2015).
#pragma once
#include "functions.hpp"
#include "net.hpp"

namespace {

inline void prelu(const Net &net, const Op &op, View x, View y) {
    for (int c = 0; c < x.channels; c++) {
        const LeakyRelu f{spread(net.parameters[op.weight + c])};
        for (int r = 0; r < x.height; r++)
            for (int s = 0; s < x.width; s++) y.line(c, r)[s] = value(f, x.line(c, r)[s]);
    }
}

// Adds to the gradients of the slopes: in a loop, several ops have the same.
inline void prelu_backward(const Net &net, const Op &op, View x, View dy, View dx) {
    for (int c = 0; c < x.channels; c++) {
        const LeakyRelu f{spread(net.parameters[op.weight + c])};
        Lanes total = lanes(0);
        for (int r = 0; r < x.height; r++) {
            const Lanes *from = x.line(c, r), *d = dy.line(c, r);
            for (int s = 0; s < x.width; s++)
                total = total - d[s] * value(Relu{}, lanes(0) - from[s]);
            if (!op.wanted) continue;
            Lanes *to = dx.line(c, r);
            for (int s = 0; s < x.width; s++) {
                const Lanes slope = times_slope(f, from[s], d[s]);
                to[s] = op.adds ? to[s] + slope : slope;
            }
        }
        net.gradients[op.weight + c] += sum(total);
    }
}

}  // namespace
