// What follows a convolution, or MEASURE (batch_norm.hpp), pixel by pixel: batch normalisation, an
// activation before or after it, and dropout.
//
//     u = scale * f(z) + offset,   y = keep * g(u)
//
// With batch norm, scale = gamma / sqrt(var + eps) and offset = beta - mean * scale, where mean
// and var are those of f(z) over the batch. In the backward pass, du = dy * keep * g'(u)
// overwrites dy, and its sums over the batch are added up. After all blocks,
//
//     dz = f'(z) * scale * (du - mean(du) - (f(z) - mean) / (var + eps) * mean(du (f(z) - mean)))
//
// goes into the scratch memory of the convolution.
#pragma once
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "functions.hpp"
#include "net.hpp"
#include "random.hpp"

namespace {

constexpr double EPSILON = 1e-5, MOMENTUM = 0.1;  // PyTorch's defaults

// Whether an op normalises over the batch.
INLINE bool normalises(const Op &op) { return op.running >= 0; }

// The gain of a channel, or 1 if the norm has none; its shift, or 0.
INLINE real gain(const Net &net, int64_t offset, int c) {
    return offset < 0 ? 1 : net.parameters[offset + c];
}
INLINE real shift(const Net &net, int64_t offset, int c) {
    return offset < 0 ? 0 : net.parameters[offset + c];
}

// Statistics ----------------------------------------------------------------------------------

// Adds row `line` of every channel to the sums of f(z) - k and of its square. k is the running
// mean, so that a large mean costs no precision.
INLINE void add_statistics(const Op &op, Work &work, const real *shift, View z, int line,
                           unsigned lanes_used) {
    with_function(op, op.before, [&](auto f) {
        for (int c = 0; c < z.channels; c++) {
            const Lanes *at = z.line(c, line);
            Lanes k = lanes(shift[c]), one = lanes(0), two = lanes(0);
            for (int x = 0; x < z.width; x++) {
                Lanes v = value(f, at[x]) - k;
                one += v;
                two = fma(v, v, two);
            }
            if (lanes_used != 0xFFFF) one = where(lanes_used, one), two = where(lanes_used, two);
            work.first[c] += one;
            work.second[c] += two;
        }
    });
}

inline void clear(Work &work) {
    std::fill(work.total.begin(), work.total.end(), 0.0);
    std::fill(work.squares.begin(), work.squares.end(), 0.0);
}
inline void clear_block(Work &work) {
    std::fill(work.first.begin(), work.first.end(), lanes(0));
    std::fill(work.second.begin(), work.second.end(), lanes(0));
}
inline void gather_block(Work &work) {
    for (size_t c = 0; c < work.first.size(); c++) {
        work.total[c] += sum(work.first[c]);
        work.squares[c] += sum(work.second[c]);
    }
}

// After the last block, computes the affine map and moves the running statistics.
inline void settle_statistics(const Net &net, const Op &op, Work &work, double count) {
    const int channels = (int)work.total.size();
    real *means = net.running + op.running, *variances = means + channels;
    for (int c = 0; c < channels; c++) {
        double moved = work.total[c] / count;
        double mean = means[c] + moved;
        double variance = work.squares[c] / count - moved * moved;
        if (variance < 0) variance = 0;  // by rounding; NaN stays NaN
        work.mean[c] = (real)mean;
        work.inverse[c] = (real)(1 / std::sqrt(variance + EPSILON));
        work.scale[c] = gain(net, op.gamma, c) * work.inverse[c];
        work.offset[c] = (real)(shift(net, op.beta, c) - mean * work.scale[c]);
        means[c] = (real)(means[c] + MOMENTUM * (mean - means[c]));
        double unbiased = variance * count / (count - 1);
        variances[c] = (real)(variances[c] + MOMENTUM * (unbiased - variances[c]));
    }
}

// Computes the affine map for evaluation from the running statistics.
inline void settle_running(const Net &net, const Op &op, Work &work) {
    const int channels = (int)work.scale.size();
    const real *means = net.running + op.running, *variances = means + channels;
    for (int c = 0; c < channels; c++) {
        double inverse = 1 / std::sqrt((double)variances[c] + EPSILON);
        work.scale[c] = (real)(gain(net, op.gamma, c) * inverse);
        work.offset[c] = (real)(shift(net, op.beta, c) - means[c] * (double)work.scale[c]);
    }
}

// Dropout -------------------------------------------------------------------------------------

typedef uint64_t Four __attribute__((vector_size(32)));    // random numbers of four lanes
typedef int16_t Sixteen __attribute__((vector_size(32)));  // the same as four decisions each

// Decides which values of a block stay, a bit per lane. Decisions have the order (n, y, x, c), and
// a random number holds four. If an image has a multiple of four, all lanes need a new number at
// the same time.
inline void draw_kept(const Net &net, const Op &op, Work &work, View y, int64_t block) {
    const long pixels = op.drop == PER_CHANNEL ? 1 : y.pixels();
    const uint64_t stream = key(net.dropout_stream, op.drop_index);
    const uint64_t each = (uint64_t)pixels * y.channels, first = block * LANES * each;
    uint16_t *kept = work.kept.data() + block * each;
    const int16_t limit = (int16_t)(op.threshold - 32768);
    if (each % 4 != 0) {
        for (uint64_t i = 0; i < each; i++) {
            unsigned found = 0;
            for (int lane = 0; lane < LANES; lane++)
                found |= (unsigned)(decision(stream, first + lane * each + i) >= limit) << lane;
            kept[i % y.channels * pixels + i / y.channels] = (uint16_t)found;
        }
        return;
    }
    Four counts[4], bit[4];  // item q is for lanes 4q to 4q + 3
    for (int lane = 0; lane < LANES; lane++) {
        counts[lane / 4][lane % 4] = stream + ((first + lane * each) / 4 + 1) * GOLDEN;
        bit[lane / 4][lane % 4] = 0x0001000100010001ull << lane;
    }
    const Sixteen limits = Sixteen{} + limit;
    uint64_t four = 0;  // four decisions, a bit per lane each
    int left = 0;
    for (long pixel = 0; pixel < pixels; pixel++)
        for (int c = 0; c < y.channels; c++, left--, four >>= 16) {
            if (left == 0) {
                Four found = {};
                UNROLL_FOR (int q = 0; q < 4; q++) {
                    found |= (Four)((Sixteen)mix(counts[q]) >= limits) & bit[q];
                    counts[q] += GOLDEN;
                }
                four = found[0] | found[1] | found[2] | found[3];
                left = 4;
            }
            kept[c * pixels + pixel] = (uint16_t)four;
        }
}

// The kept bits of channel c, or null if nothing is dropped.
INLINE const uint16_t *kept_bits(const Net &net, const Op &op, const Work &work, View y, int c,
                                 int64_t block) {
    if (op.drop == NO_DROP || !net.training) return nullptr;
    const long pixels = op.drop == PER_CHANNEL ? 1 : y.pixels();
    return work.kept.data() + (block * y.channels + c) * pixels;
}
INLINE real kept_scale(const Op &op) { return (real)(1 / (1 - op.threshold / 65536.0)); }

// Calls `run` with a function of (x, value) that applies dropout to pixel x of a row. The row
// starts at pixel `pixel` of its plane.
template <class Run>
INLINE void with_drop(const Op &op, const uint16_t *kept, long pixel, Run run) {
    if (!kept) return run([](int, Lanes v) { return v; });
    const Lanes scale = lanes(kept_scale(op));
    if (op.drop == PER_CHANNEL) return run([=](int, Lanes v) { return where(*kept, v) * scale; });
    kept += pixel;
    run([=](int x, Lanes v) { return where(kept[x], v) * scale; });
}

// Forward and backward ------------------------------------------------------------------------

inline void pointwise_forward(const Net &net, const Op &op, Work &work, int64_t block,
                              bool first) {
    const View z = net.act(op.source, block), y = net.act(op.target, block);
    if (first && op.drop != NO_DROP && net.training) draw_kept(net, op, work, y, block);
    with_functions(op, [&](auto f, auto g) {
        for (int c = 0; c < z.channels; c++) {
            const uint16_t *kept = kept_bits(net, op, work, y, c, block);
            const Lanes scale = lanes(work.scale[c]), offset = lanes(work.offset[c]);
            for (int line = 0; line < z.height; line++) {
                const Lanes *from = z.line(c, line);
                Lanes *to = y.line(c, line);
                with_drop(op, kept, (long)line * z.width, [&](auto drop) {
                    for (int x = 0; x < z.width; x++) {
                        fetch(from + x), fetch_to_write(to + x, NEAR);
                        to[x] = drop(x, value(g, fma(value(f, from[x]), scale, offset)));
                    }
                });
            }
        }
    });
}

// Turns dy into du, and adds up the sums of du and of du (f(z) - mean).
inline void pointwise_backward(const Net &net, const Op &op, Work &work, int64_t block) {
    const View z = net.act(op.source, block), dy = net.grad(op.target, block);
    clear_block(work);
    with_functions(op, [&](auto f, auto g) {
        for (int c = 0; c < z.channels; c++) {
            const uint16_t *kept = kept_bits(net, op, work, z, c, block);
            const Lanes scale = lanes(work.scale[c]), offset = lanes(work.offset[c]);
            const Lanes mean = lanes(work.mean[c]);
            const bool changes = kept || !std::is_same_v<decltype(g), Identity>;
            for (int line = 0; line < z.height; line++) {
                const Lanes *from = z.line(c, line);
                Lanes *d = dy.line(c, line), one = lanes(0), two = lanes(0);
                with_drop(op, kept, (long)line * z.width, [&](auto drop) {
                    for (int x = 0; x < z.width; x++) {
                        fetch(from + x), fetch(d + x);
                        Lanes v = value(f, from[x]), du = drop(x, d[x]);
                        if constexpr (!std::is_same_v<decltype(g), Identity>)
                            du = times_slope(g, fma(v, scale, offset), du);
                        if (changes) d[x] = du;
                        one += du;
                        two = fma(du, v - mean, two);
                    }
                });
                work.first[c] += one;
                work.second[c] += two;
            }
        }
    });
    gather_block(work);
}

// After the last block, computes the gradients of gamma and beta, and the map from du to dz.
inline void settle_backward(const Net &net, const Op &op, Work &work, double count) {
    if (!normalises(op)) return;
    for (int c = 0; c < (int)work.total.size(); c++) {
        double inverse = work.inverse[c], slope = gain(net, op.gamma, c) * inverse;
        if (op.beta >= 0) net.gradients[op.beta + c] = (real)work.total[c];
        if (op.gamma >= 0) net.gradients[op.gamma + c] = (real)(work.squares[c] * inverse);
        work.slope[c] = (real)slope;
        work.pull[c] = (real)(-slope * inverse * inverse * work.squares[c] / count);
        work.push[c] = (real)(-slope * work.total[c] / count);
    }
}

// Computes dz from du for the channels from `first` on, `step` pixels apart, and adds it if ADDS.
// Lanes without an image become zero.
template <bool ADDS = false>
inline void spread_gradient(const Net &net, const Op &op, const Work &work, View z, View du,
                            View dz, int first, int step, int64_t block) {
    const unsigned used = (1u << net.lanes_in(block)) - 1;
    with_function(op, op.before, [&](auto f) {
        for (int c = 0; c < z.channels; c++) {
            const int k = first + c;
            const Lanes slope = lanes(work.slope[k]), pull = lanes(work.pull[k]);
            const Lanes push = lanes(work.push[k]), mean = lanes(work.mean[k]);
            for (int line = 0; line < z.height; line++) {
                const Lanes *from = z.line(c, line), *d = du.line(c, line);
                Lanes *to = dz.line(c, line * step);
                for (int x = 0; x < z.width; x++) {
                    fetch(from + x), fetch(d + x), fetch_to_write(to + x * step, NEAR);
                    Lanes centred = value(f, from[x]) - mean;
                    Lanes df = fma(slope, d[x], fma(pull, centred, push));
                    df = times_slope(f, from[x], df);
                    to[x * step] = ADDS ? to[x * step] + df : df;
                }
                if (used != 0xFFFF)
                    for (int x = 0; x < z.width; x++) to[x * step] = where(used, to[x * step]);
            }
        }
    });
}

// For a pointwise op that follows no convolution: dx = dy * keep * f'(x), added if op.adds.
inline void pointwise_backward_alone(const Net &net, const Op &op, Work &work, int64_t block) {
    const View x = net.act(op.source, block), dy = net.grad(op.target, block);
    const View dx = net.grad(op.source, block);
    with_function(op, op.before, [&](auto f) {
        for (int c = 0; c < x.channels; c++) {
            const uint16_t *kept = kept_bits(net, op, work, x, c, block);
            for (int line = 0; line < x.height; line++) {
                const Lanes *from = x.line(c, line);
                const Lanes *d = dy.line(c, line);
                Lanes *to = dx.line(c, line);
                with_drop(op, kept, (long)line * x.width, [&](auto drop) {
                    for (int i = 0; i < x.width; i++) {
                        Lanes slope = times_slope(f, from[i], drop(i, d[i]));
                        to[i] = op.adds ? to[i] + slope : slope;
                    }
                });
            }
        }
    });
}

}  // namespace
