// A convolution as an op of a network: chooses the kernel and the memory for each of its three
// sums. Adds up batch norm's statistics while a row of the output is in the cache. Spreads the
// output's gradient into scratch memory first (see convolution.hpp).
#pragma once
#include <algorithm>
#include <vector>

#include "depthwise.hpp"
#include "pointwise.hpp"
#include "winograd.hpp"
#include "winograd_weights.hpp"

namespace {

struct Groups {
    int count, inputs, outputs, taps;
    bool depthwise;
    Groups(const Op &op, int in, int out)
        : count((int)op.groups), inputs(in / count), outputs(out / count),
          taps((int)(op.height * op.width)), depthwise(inputs == 1 && count > 1) {}
    // Weights of one group.
    long weights() const { return (long)outputs * inputs * taps; }
    // Sums for these weights: products, if the algorithm of winograd_weights.hpp is used.
    long sums(int together) const {
        return together ? 3L * (together + 2) * outputs * inputs : weights();
    }
};

INLINE Window window(const Op &op, const View &x, int inputs, int step) {
    return {inputs, (int)op.height, (int)op.width, x.plane, x.row, step, (int)op.dilation};
}
INLINE View part(View v, int first, int channels) {
    v.at += first * v.plane;
    v.channels = channels;
    return v;
}

// How many pixels a window of `taps` reaches beyond its first one.
INLINE long reach(const Op &op, int64_t taps) { return op.dilation * (taps - 1); }

// Whether the window is one that Winograd's algorithms know.
INLINE bool is_plain_three(const Op &op, int64_t stride) {
    return op.height == 3 && op.width == 3 && op.dilation == 1 && stride == 1;
}

// Chooses the kernel for one direction, and makes room for its weights.
inline Packed packed(const Op &op, int groups, int inputs, int outputs, int height, int width,
                     int stride) {
    Packed made;
    if (is_plain_three(op, stride)) made.tiling = fastest_tiling(inputs, outputs, height, width);
    made.group =
        (size_t)inputs * outputs * (made.tiling.any() ? spots(made.tiling) : op.height * op.width);
    made.weights.resize(made.group * groups);
    return made;
}
template <class At>
void pack_group(Packed &to, int group, int outputs, int inputs, int taps, At at) {
    if (to.tiling.any()) return pack_tiles(to.tiling, outputs, inputs, to.of(group), at);
    pack(outputs, inputs, taps, to.of(group), at);
}
template <class After>
void convolve_group(Packed &packed, int group, Lanes *tile, Window window, const Lanes *x, View y,
                    const real *bias, bool add, After after) {
    const real *weights = packed.of(group);
    if (packed.tiling.any())
        return convolve_tiles(packed.tiling, window, x, y, weights, bias, add, tile, after);
    convolve(window, x, y, weights, bias, add, after);
}

// Packs the weights of a convolution for both directions.
inline void pack_weights(const Net &net, const Op &op, Work &work) {
    const Groups groups(op, net.values[op.source].channels, net.values[op.target].channels);
    if (groups.depthwise) return;
    for (int g = 0; g < groups.count; g++) {
        const real *w = net.parameters + op.weight + g * groups.weights();
        auto from = [&](int o, int i, int tap) {
            return w[(o * groups.inputs + i) * groups.taps + tap];
        };
        auto turned = [&](int i, int o, int tap) { return from(o, i, groups.taps - 1 - tap); };
        pack_group(work.forward, g, groups.outputs, groups.inputs, groups.taps, from);
        if (net.training && op.wanted)
            pack_group(work.backward, g, groups.inputs, groups.outputs, groups.taps, turned);
    }
}

inline void convolution_forward(const Net &net, const Op &op, Work &work, Work *tail_work,
                                const Op *tail, int64_t block) {
    const View x = net.act(op.source, block), z = net.act(op.target, block);
    const Groups groups(op, x.channels, z.channels);
    const Window sliding = window(op, x, groups.inputs, (int)op.stride);
    const Lanes *from = x.at - op.padding * x.row - op.padding;
    const real *bias = start(net.parameters, op.bias);
    const bool statistics = net.training && tail && normalises(*tail);
    const unsigned used = (1u << net.lanes_in(block)) - 1;
    const real *shift = statistics ? net.running + tail->running : nullptr;
    if (statistics) clear_block(*tail_work);
    auto after = [&](int line) {
        if (statistics) add_statistics(*tail, *tail_work, shift, z, line, used);
    };
    if (groups.depthwise) {
        for (int c = 0; c < z.channels; c++)
            depthwise(sliding, from + c / groups.outputs * x.plane, z, c,
                      net.parameters + op.weight + (long)c * groups.taps, bias ? bias[c] : 0,
                      false);
        for (int line = 0; line < z.height; line++) after(line);
    } else {
        const bool whole = groups.count == 1;
        for (int g = 0; g < groups.count; g++)
            convolve_group(work.forward, g, work.tile.at(), sliding,
                           from + g * groups.inputs * x.plane,
                           part(z, g * groups.outputs, groups.outputs),
                           bias ? bias + g * groups.outputs : nullptr, false, [&](int line) {
                               if (whole) after(line);
                           });
        for (int line = whole ? z.height : 0; line < z.height; line++) after(line);
    }
    if (statistics) gather_block(*tail_work);
}

// Whether the window is as large as its input, as in a linear layer.
INLINE bool covers(const Op &op, int height, int width) {
    return op.padding == 0 && op.groups == 1 && op.height == height && op.width == width;
}

// The gradient of a linear layer's input: dx[i] = sum over o of w[o][i] dz[o], added if op.adds.
inline void linear_backward(const Op &op, View dz, View dx, const real *weights) {
    const long each = (long)dx.channels * dx.pixels();
    for (int c = 0; c < dx.channels; c++)
        for (int r = 0; r < dx.height; r++) {
            Lanes *to = dx.line(c, r);
            for (int s = 0; s < dx.width; s++) {
                Lanes total = op.adds ? to[s] : lanes(0);
                const real *w = weights + c * dx.pixels() + r * dx.width + s;
                for (int o = 0; o < dz.channels; o++, w += each)
                    total = fma(*dz.line(o, 0), *w, total);
                to[s] = total;
            }
        }
}

// Writes the gradient of the output's channels from `first` on to `dz`, `step` pixels apart.
inline void spread_output(const Net &net, const Op &op, const Op *tail, const Work *tail_work,
                          View dz, int first, int step, int64_t block) {
    const View z = part(net.act(op.target, block), first, dz.channels);
    const View d = part(net.grad(tail ? tail->target : op.target, block), first, dz.channels);
    if (tail) return spread_gradient(net, *tail, *tail_work, z, d, dz, first, step, block);
    for (int c = 0; c < d.channels; c++)
        for (int r = 0; r < d.height; r++)
            for (int s = 0; s < d.width; s++) dz.line(c, r * step)[s * step] = d.line(c, r)[s];
}

// Whether to spread and use the output's gradient channel by channel, so that it stays in the
// caches. Not if the input's gradient may overwrite the output's (lifetimes.py).
INLINE bool by_channel(const Op &op, const Groups &groups) {
    return groups.depthwise && !(op.wanted && op.barrier);
}

// Computes the gradients of weights and input from the output's, which it spreads first.
inline void convolution_backward(const Net &net, const Op &op, Work &work, const Op *tail,
                                 const Work *tail_work, int64_t block) {
    const View x = net.act(op.source, block), z = net.act(op.target, block);
    const Groups groups(op, x.channels, z.channels);
    const bool linear = covers(op, x.height, x.width);
    const int step = op.wanted && !linear ? (int)op.stride : 1;
    const Window seen = window(op, x, groups.inputs, (int)op.stride);
    const Lanes *from = x.at - op.padding * x.row - op.padding;
    const View dz = work.spread_layout.view(net.spreads[work.spread].at());
    const Window turned = window(op, dz, groups.outputs, 1);
    const Lanes *d =
        dz.at - (reach(op, op.height) - op.padding) * dz.row - (reach(op, op.width) - op.padding);
    const View dx = net.grad(op.source, block);
    View compact = dz;  // without the zeros between pixels
    compact.row *= step, compact.height = z.height, compact.width = z.width;
    Reg *sums = (Reg *)work.sums.at();
    for (int first = 0; first < z.channels; first += dz.channels) {
        spread_output(net, op, tail, tail_work, dz, first, step, block);
        for (int c = 0; op.bias >= 0 && c < compact.channels; c++)
            net.gradients[op.bias + first + c] += sum(plane_sum(compact, c, step));
        if (groups.depthwise) {
            std::vector<real> weights(groups.taps);
            for (int i = 0; i < dz.channels; i++) {
                const int c = first + i, input = c / groups.outputs;
                depthwise_weight_gradient(seen, from + input * x.plane, compact.line(i, 0),
                                          compact.row, step, z.height, z.width,
                                          sums + (long)c * groups.taps);
                if (!op.wanted) continue;
                const real *w = net.parameters + op.weight + (long)c * groups.taps;
                std::reverse_copy(w, w + groups.taps, weights.begin());
                depthwise(turned, d + i * dz.plane, dx, input, weights.data(), 0,
                          op.adds || c % groups.outputs);
            }
            continue;
        }
        for (int g = 0; g < groups.count; g++) {
            const Lanes *inputs = from + g * groups.inputs * x.plane;
            const View slopes = part(compact, g * groups.outputs, groups.outputs);
            Reg *to = sums + g * groups.sums(work.together);
            if (!work.together)
                weight_gradient(seen, inputs, slopes, step, to);
            else
                with_m(work.together, [&](auto m) {
                    RowGradient<m()>::add(seen, inputs, slopes, work.factors.at(), to);
                });
        }
        if (!op.wanted) continue;
        if (linear) {
            linear_backward(op, compact, dx, net.parameters + op.weight);
            continue;
        }
        for (int g = 0; g < groups.count; g++)
            convolve_group(
                work.backward, g, work.tile.at(), turned, d + g * groups.outputs * dz.plane,
                part(dx, g * groups.inputs, groups.inputs), nullptr, op.adds, [](int) {});
    }
}

// After the last block, computes the gradients of the weights from their sums. Several
// convolutions may have the same weights, in a loop: their gradients add up.
inline void settle_weights(const Net &net, const Op &op, const Work &work) {
    const Groups groups(op, net.values[op.source].channels, net.values[op.target].channels);
    const Reg *sums = (const Reg *)work.sums.at();
    real *to = net.gradients + op.weight;
    for (int g = 0; g < groups.count; g++) {
        if (!work.together)
            for (long w = 0; w < groups.weights(); w++) to[w] += sum(sums[w]);
        else
            with_m(work.together, [&](auto m) {
                RowGradient<m()>::settle(sums, (long)groups.outputs * groups.inputs, to);
            });
        to += groups.weights(), sums += groups.sums(work.together);
    }
}

inline Layout spread_layout(const Op &op, const Layout &x, const Layout &z) {
    const int channels = by_channel(op, Groups(op, x.channels, z.channels)) ? 1 : z.channels;
    if (!op.wanted || covers(op, x.height, x.width)) return Layout(channels, z.height, z.width, 0);
    // With a reach of R, the input's gradient reads height + R rows. It starts R - padding rows
    // before the first one, or inside if the padding is larger.
    const long reach_y = reach(op, op.height), reach_x = reach(op, op.width);
    const long before_y = reach_y - op.padding, before_x = reach_x - op.padding;
    const long halo = std::max<long>(0, std::max(before_y, before_x));
    const long rows = std::max<long>(halo + (z.height - 1) * op.stride + 1,
                                     halo - before_y + x.height + reach_y);
    const long columns =
        std::max<long>(halo + (z.width - 1) * op.stride + 1, halo - before_x + x.width + reach_x);
    return Layout(channels, z.height, z.width, halo, rows, columns);
}

}  // namespace
