// Multiplies each channel by a weight in (0, 1) that follows from the channels' averages.
//
// Gate: y = x * s, s = sigmoid(m), m = mean(x). Squeeze-excitation (Hu et al. 2018): s =
// sigmoid(W2 relu(W1 m + b1) + b2). Backwards ds = sum(dy * x), and dx = dy * s + dm / pixels.
#pragma once
#include <vector>

#include "functions.hpp"
#include "pool.hpp"

namespace {

// What the backward pass needs of a block: the averages, the hidden values and the weights.
struct Gated {
    Lanes *mean, *hidden, *weight;
    Gated(const Op &op, Work &work, int channels, int64_t block) {
        mean = work.small.data() + block * (2 * channels + op.hidden);
        hidden = mean + channels;
        weight = hidden + op.hidden;
    }
};

inline void gate(const Net &net, const Op &op, Work &work, int64_t block) {
    const View x = net.act(op.source, block), y = net.act(op.target, block);
    const Gated kept(op, work, x.channels, block);
    const Lanes share = lanes((real)1 / x.pixels());
    const real *w1 = start(net.parameters, op.weight), *b1 = start(net.parameters, op.bias);
    const real *w2 = start(net.parameters, op.weight2), *b2 = start(net.parameters, op.bias2);
    for (int c = 0; c < x.channels; c++) kept.mean[c] = plane_sum(x, c) * share;
    for (int h = 0; h < op.hidden; h++) {
        Lanes total = lanes(b1[h]);
        for (int c = 0; c < x.channels; c++)
            total = fma(kept.mean[c], w1[h * x.channels + c], total);
        kept.hidden[h] = value(Relu{}, total);
    }
    for (int c = 0; c < x.channels; c++) {
        Lanes total = op.kind == GATE ? kept.mean[c] : lanes(b2[c]);
        for (int h = 0; h < op.hidden; h++)
            total = fma(kept.hidden[h], w2[c * op.hidden + h], total);
        kept.weight[c] = sigmoid(total);
        for (int r = 0; r < x.height; r++)
            for (int s = 0; s < x.width; s++) y.line(c, r)[s] = x.line(c, r)[s] * kept.weight[c];
    }
}

inline void gate_backward(const Net &net, const Op &op, Work &work, int64_t block) {
    const View x = net.act(op.source, block), dy = net.grad(op.target, block);
    const int channels = x.channels, hidden = (int)op.hidden;
    const Gated kept(op, work, channels, block);
    const real *w1 = start(net.parameters, op.weight), *w2 = start(net.parameters, op.weight2);
    real *dw1 = start(net.gradients, op.weight), *db1 = start(net.gradients, op.bias);
    real *dw2 = start(net.gradients, op.weight2), *db2 = start(net.gradients, op.bias2);
    std::vector<Lanes> inner(channels), dhidden(hidden, lanes(0)), dmean(channels, lanes(0));
    for (int c = 0; c < channels; c++) {
        Lanes total = lanes(0);
        for (int r = 0; r < x.height; r++) {
            Lanes row = lanes(0);
            for (int s = 0; s < x.width; s++) row = fma(x.line(c, r)[s], dy.line(c, r)[s], row);
            total += row;
        }
        inner[c] = total * kept.weight[c] * (lanes(1) - kept.weight[c]);
        if (op.kind == GATE) dmean[c] = inner[c];
    }
    for (int h = 0; h < hidden; h++) {
        for (int c = 0; c < channels; c++) {
            dhidden[h] = fma(inner[c], w2[c * hidden + h], dhidden[h]);
            dw2[c * hidden + h] += sum(inner[c] * kept.hidden[h]);
        }
        dhidden[h] = times_slope(Relu{}, kept.hidden[h], dhidden[h]);
        for (int c = 0; c < channels; c++) {
            dmean[c] = fma(dhidden[h], w1[h * channels + c], dmean[c]);
            dw1[h * channels + c] += sum(dhidden[h] * kept.mean[c]);
        }
        db1[h] += sum(dhidden[h]);
    }
    for (int c = 0; c < channels && op.kind == SQUEEZE; c++) db2[c] += sum(inner[c]);
    if (!op.wanted) return;
    const View dx = net.grad(op.source, block);
    const Lanes share = lanes((real)1 / x.pixels());
    for (int c = 0; c < channels; c++) {
        const Lanes rest = dmean[c] * share;
        for (int r = 0; r < x.height; r++)
            for (int s = 0; s < x.width; s++) {
                Lanes &to = dx.line(c, r)[s];
                Lanes d = fma(dy.line(c, r)[s], kept.weight[c], rest);
                to = op.adds ? to + d : d;
            }
    }
}

}  // namespace
