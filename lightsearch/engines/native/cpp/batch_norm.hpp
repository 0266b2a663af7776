// Batch norm that follows no convolution. MEASURE keeps a copy of its input for the whole batch
// and adds up its statistics, as a convolution does with its output. The pointwise op behind it
// does the rest (pointwise.hpp).
#pragma once
#include <algorithm>

#include "pointwise.hpp"

namespace {

inline void measure(const Net &net, const Op &tail, Work &tail_work, View x, View z,
                    int64_t block) {
    for (int c = 0; c < x.channels; c++)
        for (int r = 0; r < x.height; r++) std::copy_n(x.line(c, r), x.width, z.line(c, r));
    if (!net.training) return;
    const unsigned used = (1u << net.lanes_in(block)) - 1;
    clear_block(tail_work);
    for (int line = 0; line < z.height; line++)
        add_statistics(tail, tail_work, net.running + tail.running, z, line, used);
    gather_block(tail_work);
}

inline void measure_backward(const Net &net, const Op &op, const Op &tail, const Work &tail_work,
                             int64_t block) {
    const View z = net.act(op.target, block), dx = net.grad(op.source, block);
    const View du = net.grad(tail.target, block);
    if (op.adds) return spread_gradient<true>(net, tail, tail_work, z, du, dx, 0, 1, block);
    spread_gradient(net, tail, tail_work, z, du, dx, 0, 1, block);
}

}  // namespace
