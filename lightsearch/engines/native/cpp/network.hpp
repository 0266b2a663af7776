// A network's memory, and the order in which its ops run.
#pragma once
#include "convolution.hpp"
#include "depthwise.hpp"
#include "gate.hpp"
#include "pointwise.hpp"
#include "pool.hpp"
#include "residual.hpp"
#include "winograd.hpp"
#include "winograd_weights.hpp"

namespace {

// Convolutions --------------------------------------------------------------------------------

struct Groups {
    int count, inputs, outputs, taps;
    bool depthwise;
    Groups(const Op &op, int in, int out)
        : count((int)op.groups), inputs(in / count), outputs(out / count),
          taps((int)(op.height * op.width)), depthwise(inputs == 1 && count > 1) {}
    long weights() const { return (long)outputs * inputs * taps; }  // of one group
    long products() const { return 3L * PRODUCTS * outputs * inputs; }
};

INLINE Window window(const Op &op, const View &x, int inputs, int step) {
    return {inputs, (int)op.height, (int)op.width, x.plane, x.row, step};
}
INLINE View part(View v, int first, int channels) {
    v.at += first * v.plane;
    v.channels = channels;
    return v;
}

// Makes room for a direction's weights, and settles by which kernel they are read.
inline Packed packed(const Op &op, int groups, int inputs, int outputs, int height, int width,
                     int stride) {
    Packed made;
    made.by_tiles = op.height == 3 && op.width == 3 && stride == 1 &&
                    winograd_pays(inputs, outputs, height, width);
    made.group = (size_t)inputs * outputs * (made.by_tiles ? SPOTS : op.height * op.width);
    made.weights.resize(made.group * groups);
    return made;
}
template <class At>
void pack_group(Packed &to, int group, int outputs, int inputs, int taps, At at) {
    if (to.by_tiles) return winograd_pack(outputs, inputs, to.of(group), at);
    pack(outputs, inputs, taps, to.of(group), at);
}
template <class After>
void convolve_group(Packed &packed, int group, Lanes *tile, Window window, const Lanes *x, View y,
                    const real *bias, bool add, After after) {
    const real *weights = packed.of(group);
    if (packed.by_tiles) return winograd(window, x, y, weights, bias, add, tile, after);
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
    const bool statistics = net.training && tail && tail->gamma >= 0;
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
                           bias ? bias + g * groups.outputs : nullptr, false,
                           [&](int line) { if (whole) after(line); });
        for (int line = whole ? z.height : 0; line < z.height; line++) after(line);
    }
    if (statistics) gather_block(*tail_work);
}

// Whether the window is as large as its input: a linear layer.
INLINE bool covers(const Op &op, int height, int width) {
    return op.padding == 0 && op.groups == 1 && op.height == height && op.width == width;
}

// The gradient of a linear layer's input: dx[i] (+)= sum over o of w[o][i] dz[o].
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

// From the gradient of the output, spread in the scratch memory, to those of weights and input.
inline void convolution_backward(const Net &net, const Op &op, Work &work, const Op *tail,
                                 const Work *tail_work, int64_t block) {
    const View x = net.act(op.source, block), z = net.act(op.target, block);
    const View dz = work.spread_layout.view(net.spreads[work.spread].at());
    const int step = op.wanted && !covers(op, x.height, x.width) ? (int)op.stride : 1;
    if (tail) {
        spread_gradient(net, *tail, *tail_work, z, net.grad(tail->target, block), dz, step, block);
    } else {
        const View d = net.grad(op.target, block);
        for (int c = 0; c < z.channels; c++)
            for (int r = 0; r < z.height; r++)
                for (int s = 0; s < z.width; s++) dz.line(c, r * step)[s * step] = d.line(c, r)[s];
    }
    const Groups groups(op, x.channels, z.channels);
    View compact = dz;  // the pixels that are not between others
    compact.row *= step, compact.height = z.height, compact.width = z.width;
    if (op.bias >= 0)
        for (int c = 0; c < z.channels; c++) {
            Lanes total = lanes(0);
            for (int r = 0; r < z.height; r++) {
                Lanes row = lanes(0);
                for (int s = 0; s < z.width; s++) row += compact.line(c, r)[s * step];
                total += row;
            }
            net.gradients[op.bias + c] += sum(total);
        }
    const Window seen = window(op, x, groups.inputs, (int)op.stride);
    const Lanes *from = x.at - op.padding * x.row - op.padding;
    Reg *sums = (Reg *)work.sums.at();
    if (groups.depthwise) {
        for (int c = 0; c < z.channels; c++)
            depthwise_weight_gradient(seen, from + c / groups.outputs * x.plane,
                                      compact.line(c, 0), compact.row, step, z.height, z.width,
                                      sums + (long)c * groups.taps);
    } else {
        for (int g = 0; g < groups.count; g++) {
            const Lanes *first = from + g * groups.inputs * x.plane;
            const View slopes = part(compact, g * groups.outputs, groups.outputs);
            if (work.by_pairs)
                winograd_weight_gradient(seen, first, slopes, work.pairs.at(),
                                         sums + g * groups.products());
            else
                weight_gradient(seen, first, slopes, step, sums + g * groups.weights());
        }
    }
    if (!op.wanted) return;
    const View dx = net.grad(op.source, block);
    if (covers(op, x.height, x.width))
        return linear_backward(op, compact, dx, net.parameters + op.weight);
    const Window turned = window(op, dz, groups.outputs, 1);
    const Lanes *d = dz.at - (op.height - 1 - op.padding) * dz.row - (op.width - 1 - op.padding);
    if (groups.depthwise) {
        std::vector<real> weights(groups.taps);
        for (int c = 0; c < z.channels; c++) {
            const real *w = net.parameters + op.weight + (long)c * groups.taps;
            std::reverse_copy(w, w + groups.taps, weights.begin());
            depthwise(turned, d + c * dz.plane, dx, c / groups.outputs, weights.data(), 0,
                      op.adds || c % groups.outputs);
        }
    } else {
        for (int g = 0; g < groups.count; g++)
            convolve_group(work.backward, g, work.tile.at(), turned,
                           d + g * groups.outputs * dz.plane,
                           part(dx, g * groups.inputs, groups.inputs), nullptr, op.adds,
                           [](int) {});
    }
}

// Memory --------------------------------------------------------------------------------------

inline Layout spread_layout(const Op &op, const Layout &x, const Layout &z) {
    if (!op.wanted || covers(op, x.height, x.width))
        return Layout(z.channels, z.height, z.width, 0);
    // The input's gradient reads height + kernel - 1 rows from kernel - 1 - padding before the
    // first one on; where the padding is larger, it begins inside.
    const long before_y = op.height - 1 - op.padding, before_x = op.width - 1 - op.padding;
    const long halo = std::max<long>(0, std::max(before_y, before_x));
    const long rows = std::max(halo + (z.height - 1) * op.stride + 1,
                               halo - before_y + x.height + op.height - 1);
    const long columns = std::max(halo + (z.width - 1) * op.stride + 1,
                                  halo - before_x + x.width + op.width - 1);
    return Layout(z.channels, z.height, z.width, halo, rows, columns);
}

inline Net::Net(const Value *first, int64_t value_count, const Op *first_op, int64_t op_count,
                int64_t batch, int64_t input, int64_t scores)
    : values(first, first + value_count), ops(first_op, first_op + op_count), work(op_count),
      input(input), scores(scores), blocks((batch + LANES - 1) / LANES) {
#ifdef LIGHTSEARCH_PROFILE
    profile.resize(op_count);
#endif
    for (const Value &v : values) {
        layouts.emplace_back(v.channels, v.height, v.width, v.halo);
        gradient_layouts.emplace_back(v.channels, v.height, v.width, 0);
        acts.emplace_back(layouts.back().block() * (v.batch ? blocks : 1) +
                          layouts.back().beyond());
        if (v.gradient >= 0) {
            strides.resize(std::max<size_t>(strides.size(), v.gradient + 1));
            strides[v.gradient] = std::max(strides[v.gradient], gradient_layouts.back().block());
        }
    }
    for (size_t stride : strides) shared.emplace_back(stride * blocks);
    for (size_t i = 0; i < ops.size(); i++) {
        const Op &op = ops[i];
        const Layout &x = layouts[op.source], &z = layouts[op.target];
        Work &w = work[i];
        if (op.kind == CONV) {
            const Groups groups(op, x.channels, z.channels);
            const long weights = groups.weights() * groups.count;
            if (!groups.depthwise) {
                w.forward = packed(op, groups.count, groups.inputs, groups.outputs, z.height,
                                   z.width, (int)op.stride);
                w.backward = packed(op, groups.count, groups.outputs, groups.inputs, x.height,
                                    x.width, 1);
                if (w.forward.by_tiles || w.backward.by_tiles)
                    w.tile = Memory(SPOTS * (std::max(groups.inputs, groups.outputs) | 1));
            }
            w.by_pairs = !groups.depthwise && op.height == 3 && op.width == 3 && op.stride == 1 &&
                         pairs_pay(groups.inputs, groups.outputs);
            const long kept = w.by_pairs ? groups.products() * groups.count : weights;
            w.sums = Memory((kept * sizeof(Reg) + sizeof(Lanes) - 1) / sizeof(Lanes));
            if (w.by_pairs)
                w.pairs = Memory(band_room(groups.inputs, groups.outputs, z.height, z.width));
            w.spread_layout = spread_layout(op, x, z);
        } else if (op.kind == POINTWISE) {
            w.first.assign(z.channels, lanes(0)), w.second.assign(z.channels, lanes(0));
            w.total.assign(z.channels, 0), w.squares.assign(z.channels, 0);
            w.scale.assign(z.channels, 1), w.offset.assign(z.channels, 0);
            w.mean.assign(z.channels, 0), w.inverse.assign(z.channels, 1);
            w.slope.assign(z.channels, 1), w.pull.assign(z.channels, 0);
            w.push.assign(z.channels, 0);
            if (op.drop != NO_DROP)
                w.kept.resize((size_t)blocks * z.channels *
                              (op.drop == PER_CHANNEL ? 1 : (size_t)z.height * z.width));
        } else if (op.kind == GATE || op.kind == SQUEEZE) {
            w.small.assign(blocks * (2 * x.channels + op.hidden), lanes(0));
        }
    }
    share_memory();
}

// Room for the largest of the first things that any segment needs, of the second ones, and so on.
class Rooms {
  public:
    void restart() { next_ = 0; }
    int place(size_t size) {
        sizes_.resize(std::max(sizes_.size(), next_ + 1));
        sizes_[next_] = std::max(sizes_[next_], size);
        return (int)next_++;
    }
    std::vector<Memory> made() const {
        std::vector<Memory> all;
        for (size_t size : sizes_) all.emplace_back(size);
        return all;
    }

  private:
    std::vector<size_t> sizes_;
    size_t next_ = 0;
};

inline void Net::share_memory() {
    passing_act.assign(values.size(), -1), passing_grad.assign(values.size(), -1);
    Rooms act_rooms, grad_rooms, spread_rooms;
    for (size_t i = 0; i < ops.size(); i++) {
        const int64_t target = ops[i].target;
        const Layout &y = layouts[target], &spread = work[i].spread_layout;
        if (!values[target].batch) passing_act[target] = act_rooms.place(y.block() + y.beyond());
        if (values[target].gradient == -1)
            passing_grad[target] = grad_rooms.place(gradient_layouts[target].block());
        if (ops[i].kind == CONV)
            work[i].spread = spread_rooms.place(spread.block() + spread.beyond());
        if (ops[i].barrier)
            for (Rooms *rooms : {&act_rooms, &grad_rooms, &spread_rooms}) rooms->restart();
    }
    passing_acts = act_rooms.made(), passing_grads = grad_rooms.made();
    spreads = spread_rooms.made();
}

// Order ---------------------------------------------------------------------------------------

inline const Op *tail_of(const Net &net, const Op &op) {
    return op.kind == CONV && op.tail >= 0 ? &net.ops[op.tail] : nullptr;
}

inline void forward_op(Net &net, size_t i, int64_t block, bool first) {
    PROFILED(net, i, first ? FORWARD : AGAIN);
    const Op &op = net.ops[i];
    Work &work = net.work[i];
    const View x = net.act(op.source, block), y = net.act(op.target, block);
    switch (op.kind) {
        case CONV: {
            const Op *tail = tail_of(net, op);
            return convolution_forward(net, op, work, tail ? &net.work[op.tail] : nullptr, tail,
                                       block);
        }
        case POINTWISE: return pointwise_forward(net, op, work, block, first);
        case MAX_POOL: return max_pool(op, x, y);
        case AVERAGE_POOL: return average_pool(op, x, y);
        case GLOBAL_POOL: return global_pool(x, y);
        case GATE: case SQUEEZE: return gate(net, op, work, net.training ? block : 0);
        case RESIZE: return resize(x, y);
        case ADD: return add(x, net.act(op.other, block), y);
    }
}

inline void backward_op(Net &net, size_t i, int64_t block) {
    PROFILED(net, i, BACKWARD);
    const Op &op = net.ops[i];
    Work &work = net.work[i];
    if (op.kind == CONV) {
        const Op *tail = tail_of(net, op);
        return convolution_backward(net, op, work, tail, tail ? &net.work[op.tail] : nullptr,
                                    block);
    }
    const View x = net.act(op.source, block), y = net.act(op.target, block);
    const View dy = net.grad(op.target, block);
    if (op.kind == ADD) {
        if (op.wanted) pass_on(dy, net.grad(op.source, block), op.adds);
        if (op.wanted_other) pass_on(dy, net.grad(op.other, block), op.adds_other);
        return;
    }
    if (op.kind == SQUEEZE) return gate_backward(net, op, work, block);  // it has weights
    if (!op.wanted) return;
    if (op.kind == POINTWISE) {  // of a convolution that it follows, it keeps the gradient
        if (net.values[op.source].gradient == -2) return pointwise_backward(net, op, work, block);
        return pointwise_backward_alone(net, op, work, block);
    }
    const View dx = net.grad(op.source, block);
    switch (op.kind) {
        case MAX_POOL: return max_pool_backward(op, x, y, dy, dx);
        case AVERAGE_POOL: return average_pool_backward(op, dy, dx);
        case GLOBAL_POOL: return global_pool_backward(op, dy, dx);
        case GATE: return gate_backward(net, op, work, block);
        case RESIZE: return resize_backward(op, dy, dx);
    }
}

// Pixels of a value over the batch.
inline double population(const Net &net, int64_t value) {
    return (double)net.images * net.layouts[value].height * net.layouts[value].width;
}

// Before the first block of a segment: zeros around and between what its ops write.
inline void Net::clear_gaps(size_t start, size_t end) {
    auto clear = [](const Memory &memory, const Layout &layout) {
        if (layout.gaps())
            std::fill_n(memory.at(), layout.block() + layout.beyond(), lanes(0));
    };
    for (size_t i = start; i < end; i++) {
        const int64_t target = ops[i].target;
        if (passing_act[target] >= 0) clear(passing_acts[passing_act[target]], layouts[target]);
        if (ops[i].kind == CONV) clear(spreads[work[i].spread], work[i].spread_layout);
    }
}

inline void Net::forward() {
    training = true;
    for (size_t i = 0; i < ops.size(); i++)
        if (ops[i].kind == CONV) pack_weights(*this, ops[i], work[i]);
        else if (ops[i].kind == POINTWISE) clear(work[i]);
    for (size_t start = 0, end; start < ops.size(); start = end) {
        for (end = start; end < ops.size() && !ops[end].barrier;) end++;
        end = std::min(end + 1, ops.size());
        clear_gaps(start, end);
        for (int64_t block = 0; block < blocks_now(); block++)
            for (size_t i = start; i < end; i++) forward_op(*this, i, block, true);
        const Op *tail = tail_of(*this, ops[end - 1]);
        if (tail && tail->gamma >= 0) {
            Work &w = work[ops[end - 1].tail];
            settle_statistics(*this, *tail, w, population(*this, tail->source));
            clear(w);
        }
    }
}

inline void Net::backward() {
    for (size_t i = 0; i < ops.size(); i++)
        if (ops[i].kind == CONV)
            std::fill_n(work[i].sums.at(), work[i].sums.count(), lanes(0));
    for (size_t end = ops.size(), start; end > 0; end = start) {
        for (start = end - 1; start > 0 && !ops[start - 1].barrier;) start--;
        const Op *tail = tail_of(*this, ops[end - 1]);
        if (tail) settle_backward(*this, *tail, work[ops[end - 1].tail],
                                  population(*this, tail->source));
        clear_gaps(start, end);
        for (int64_t block = 0; block < blocks_now(); block++) {
            for (size_t i = start; i < end; i++)
                if (ops[i].again) forward_op(*this, i, block, false);
            for (size_t i = end; i-- > start;) backward_op(*this, i, block);
        }
    }
    for (size_t i = 0; i < ops.size(); i++)
        if (ops[i].kind == CONV) {
            const Op &op = ops[i];
            const Reg *sums = (const Reg *)work[i].sums.at();
            const Groups groups(op, layouts[op.source].channels, layouts[op.target].channels);
            if (work[i].by_pairs)
                for (int g = 0; g < groups.count; g++)
                    settle_products(sums + g * groups.products(),
                                    (long)groups.outputs * groups.inputs,
                                    gradients + op.weight + g * groups.weights());
            else
                for (long w = 0; w < groups.weights() * groups.count; w++)
                    gradients[op.weight + w] = sum(sums[w]);
        }
}

inline void Net::infer() {
    for (size_t i = 0; i < ops.size(); i++) forward_op(*this, i, 0, true);
}

// Before the first `infer` with these parameters.
inline void prepare_inference(Net &net) {
    net.training = false;
    for (size_t i = 0; i < net.ops.size(); i++) {
        if (net.ops[i].kind == CONV) pack_weights(net, net.ops[i], net.work[i]);
        if (net.ops[i].kind == POINTWISE && net.ops[i].gamma >= 0)
            settle_running(net, net.ops[i], net.work[i]);
    }
}

}  // namespace
