// A network's memory, and the order in which its ops run.
#pragma once
#include <algorithm>
#include <vector>

#include "batch_norm.hpp"
#include "convolution_op.hpp"
#include "gate.hpp"
#include "group_norm.hpp"
#include "move.hpp"
#include "pool.hpp"
#include "prelu.hpp"
#include "residual.hpp"

namespace {

// Memory --------------------------------------------------------------------------------------

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
        acts.emplace_back(layouts.back().block() * (v.batch ? blocks : 1));
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
            if (!groups.depthwise) {
                w.forward = packed(op, groups.count, groups.inputs, groups.outputs, z.height,
                                   z.width, (int)op.stride);
                w.backward =
                    packed(op, groups.count, groups.outputs, groups.inputs, x.height, x.width, 1);
                w.tile = Memory(std::max(tile_room(w.forward.tiling, groups.inputs),
                                         tile_room(w.backward.tiling, groups.outputs)));
            }
            if (!groups.depthwise && is_plain_three(op, op.stride))
                w.together = fastest_group(groups.inputs, groups.outputs, z.height, z.width);
            const size_t sums = groups.sums(w.together) * groups.count * sizeof(Reg);
            w.sums = Memory((sums + sizeof(Lanes) - 1) / sizeof(Lanes));
            if (w.together)
                w.factors = Memory(with_m(w.together, [&](auto m) {
                    return RowGradient<m()>::room(groups.inputs, groups.outputs, z.height,
                                                  z.width);
                }));
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
        } else if (op.kind == GROUP_NORM) {
            w.small.assign(blocks * 2 * op.groups, lanes(0));
        } else if (op.kind == GATE || op.kind == SQUEEZE) {
            w.small.assign(blocks * (2 * x.channels + op.hidden), lanes(0));
        }
    }
    share_memory();
}

// Counts the memory that segments can share: each segment numbers what it needs from 0 on, and
// memory n must hold the largest number n of all segments.
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
        if (!values[target].batch) passing_act[target] = act_rooms.place(y.block());
        if (values[target].gradient == OWN_BLOCK)
            passing_grad[target] = grad_rooms.place(gradient_layouts[target].block());
        if (ops[i].kind == CONV) work[i].spread = spread_rooms.place(spread.block());
        if (ops[i].barrier)
            for (Rooms *rooms : {&act_rooms, &grad_rooms, &spread_rooms}) rooms->restart();
    }
    passing_acts = act_rooms.made(), passing_grads = grad_rooms.made();
    spreads = spread_rooms.made();
}

// Order ---------------------------------------------------------------------------------------

inline const Op *tail_of(const Net &net, const Op &op) {
    return op.tail >= 0 ? &net.ops[op.tail] : nullptr;
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
        case GATE:
        case SQUEEZE: return gate(net, op, work, net.training ? block : 0);
        case RESIZE: return resize(x, y);
        case ADD: return add(x, net.act(op.other, block), y);
        case PRELU: return prelu(net, op, x, y);
        case CONCAT: return concatenate(x, net.act(op.other, block), y);
        case MOVE: return move(op, x, y);
        case MEASURE: return measure(net, *tail_of(net, op), net.work[op.tail], x, y, block);
        case GROUP_NORM: return group_norm(net, op, work, net.training ? block : 0);
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
    if (op.kind == CONCAT) {
        const View second = net.act(op.other, block);
        if (op.wanted) pass_on(part(dy, 0, x.channels), net.grad(op.source, block), op.adds);
        if (op.wanted_other)
            pass_on(part(dy, x.channels, second.channels), net.grad(op.other, block),
                    op.adds_other);
        return;
    }
    // These may have weights to train, whether or not their input needs a gradient.
    if (op.kind == SQUEEZE) return gate_backward(net, op, work, block);
    if (op.kind == GROUP_NORM && dy.at) return group_norm_backward(net, op, work, block);
    if (op.kind == PRELU) return prelu_backward(net, op, x, dy, net.grad(op.source, block));
    if (!op.wanted) return;
    if (op.kind == POINTWISE) {  // a tail keeps the gradient for its convolution
        if (net.values[op.source].gradient == NO_GRADIENT)
            return pointwise_backward(net, op, work, block);
        return pointwise_backward_alone(net, op, work, block);
    }
    const View dx = net.grad(op.source, block);
    switch (op.kind) {
        case MAX_POOL: return max_pool_backward(op, x, y, dy, dx);
        case AVERAGE_POOL: return average_pool_backward(op, dy, dx);
        case GLOBAL_POOL: return global_pool_backward(op, dy, dx);
        case GATE: return gate_backward(net, op, work, block);
        case RESIZE: return resize_backward(op, dy, dx);
        case MOVE: return move_backward(op, dy, dx);
        case MEASURE:
            return measure_backward(net, op, *tail_of(net, op), net.work[op.tail], block);
    }
}

// The number of pixels of a value in the whole batch.
inline double population(const Net &net, int64_t value) {
    return (double)net.images * net.layouts[value].height * net.layouts[value].width;
}

// Before a segment's first block, writes zeros around and between the pixels that its ops write.
inline void Net::clear_gaps(size_t start, size_t end) {
    auto clear = [](const Memory &memory, const Layout &layout) {
        if (layout.gaps()) std::fill_n(memory.at(), layout.block(), lanes(0));
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
        if (ops[i].kind == CONV)
            pack_weights(*this, ops[i], work[i]);
        else if (ops[i].kind == POINTWISE)
            clear(work[i]);
    for (size_t start = 0, end; start < ops.size(); start = end) {
        for (end = start; end < ops.size() && !ops[end].barrier;) end++;
        end = std::min(end + 1, ops.size());
        clear_gaps(start, end);
        for (int64_t block = 0; block < blocks_now(); block++) {
            if (stopped()) return;
            for (size_t i = start; i < end; i++) forward_op(*this, i, block, true);
        }
        const Op *tail = tail_of(*this, ops[end - 1]);
        if (tail && normalises(*tail)) {
            Work &w = work[ops[end - 1].tail];
            settle_statistics(*this, *tail, w, population(*this, tail->source));
            clear(w);
        }
    }
}

inline void Net::backward() {
    for (size_t i = 0; i < ops.size(); i++)
        if (ops[i].kind == CONV) std::fill_n(work[i].sums.at(), work[i].sums.count(), lanes(0));
    for (size_t end = ops.size(), start; end > 0; end = start) {
        for (start = end - 1; start > 0 && !ops[start - 1].barrier;) start--;
        const Op *tail = tail_of(*this, ops[end - 1]);
        if (tail)
            settle_backward(*this, *tail, work[ops[end - 1].tail],
                            population(*this, tail->source));
        clear_gaps(start, end);
        for (int64_t block = 0; block < blocks_now(); block++) {
            if (stopped()) return;
            for (size_t i = start; i < end; i++)
                if (ops[i].again) forward_op(*this, i, block, false);
            for (size_t i = end; i-- > start;) backward_op(*this, i, block);
        }
    }
    for (size_t i = 0; i < ops.size(); i++)
        if (ops[i].kind == CONV) settle_weights(*this, ops[i], work[i]);
}

inline void Net::infer() {
    for (size_t i = 0; i < ops.size(); i++) forward_op(*this, i, 0, true);
}

// Call it before the first `infer` with these parameters.
inline void prepare_inference(Net &net) {
    net.training = false;
    for (size_t i = 0; i < net.ops.size(); i++) {
        if (net.ops[i].kind == CONV) pack_weights(net, net.ops[i], net.work[i]);
        if (net.ops[i].kind == POINTWISE && normalises(net.ops[i]))
            settle_running(net, net.ops[i], net.work[i]);
    }
}

}  // namespace
