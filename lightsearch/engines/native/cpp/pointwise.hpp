// What follows a convolution pixel by pixel: an activation before or after batch normalisation,
// and dropout.
//
//     u = scale * f(z) + offset,   y = keep * g(u)
//
// With batch norm, scale = gamma / sqrt(var + eps) and offset = beta - mean * scale, with mean and
// variance of f(z) over the batch. Backwards, du = dy * keep * g'(u) replaces dy in place while its
// sums over the batch are taken; when all blocks have passed,
//
//     dz = f'(z) * scale * (du - mean(du) - (f(z) - mean) / (var + eps) * mean(du (f(z) - mean)))
//
// is spread into the scratch memory of the convolution.
#pragma once
#include "functions.hpp"
#include "net.hpp"
#include "random.hpp"

namespace {

constexpr double EPSILON = 1e-5, MOMENTUM = 0.1;  // PyTorch's defaults

// Statistics ----------------------------------------------------------------------------------

// Adds row `line` of every channel to the sums of f(z) - k and of its square, with k near the mean
// (the running mean), so that little is lost where the mean is large.
INLINE void add_statistics(const Op &op, Work &work, const real *shift, View z, int line,
                           unsigned lanes_used) {
    with_function(op.before, [&](auto f) {
        for (int c = 0; c < z.channels; c++) {
            const Lanes *at = z.line(c, line);
            Lanes k = lanes(shift[c]), one = lanes(0), two = lanes(0);
            for (int x = 0; x < z.width; x++) {
                Lanes v = value<decltype(f)>(at[x]) - k;
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

// After the last block: the affine map, and the running statistics.
inline void settle_statistics(const Net &net, const Op &op, Work &work, double count) {
    const int channels = (int)work.total.size();
    real *means = net.running + op.running, *variances = means + channels;
    for (int c = 0; c < channels; c++) {
        double moved = work.total[c] / count;
        double mean = means[c] + moved;
        double variance = work.squares[c] / count - moved * moved;
        if (variance < 0) variance = 0;  // by rounding; what is not a number stays so
        work.mean[c] = (real)mean;
        work.inverse[c] = (real)(1 / std::sqrt(variance + EPSILON));
        work.scale[c] = net.parameters[op.gamma + c] * work.inverse[c];
        work.offset[c] = (real)(net.parameters[op.beta + c] - mean * work.scale[c]);
        means[c] = (real)(means[c] + MOMENTUM * (mean - means[c]));
        double unbiased = variance * count / (count - 1);
        variances[c] = (real)(variances[c] + MOMENTUM * (unbiased - variances[c]));
    }
}

// The affine map of evaluation, from the running statistics.
inline void settle_running(const Net &net, const Op &op, Work &work) {
    const int channels = (int)work.scale.size();
    const real *means = net.running + op.running, *variances = means + channels;
    for (int c = 0; c < channels; c++) {
        double inverse = 1 / std::sqrt((double)variances[c] + EPSILON);
        work.scale[c] = (real)(net.parameters[op.gamma + c] * inverse);
        work.offset[c] = (real)(net.parameters[op.beta + c] - means[c] * (double)work.scale[c]);
    }
}

// Dropout -------------------------------------------------------------------------------------

typedef int16_t Draws __attribute__((vector_size(2 * LANES)));  // a decision of each lane

// A bit for each lane whose draw is at least `limit`.
INLINE uint16_t bits_from(Draws draws, Draws limit, Draws weights) {
    typedef uint64_t Four __attribute__((vector_size(2 * LANES)));
    const Four kept = (Four)((Draws)(draws >= limit) & weights);
    uint64_t all = kept[0] | kept[1] | kept[2] | kept[3];
    all |= all >> 32;
    return (uint16_t)(all | all >> 16);
}

// Draws which values of a block stay, a bit for each lane: decision (n, y, x, c) in this order, four
// to a draw. Where an image has a multiple of four of them, all lanes use up a draw together.
inline void draw_kept(const Net &net, const Op &op, Work &work, View y, int64_t block) {
    const long pixels = op.drop == PER_CHANNEL ? 1 : y.pixels();
    const uint64_t stream = key(net.dropout_stream, op.drop_index);
    const uint64_t each = (uint64_t)pixels * y.channels, first = block * LANES * each;
    uint16_t *kept = work.kept.data() + block * each;
    Draws draws[4], limit, weights;
    for (int lane = 0; lane < LANES; lane++) {
        limit[lane] = (int16_t)(op.threshold - 32768);
        weights[lane] = (int16_t)(1u << lane);
    }
    uint64_t i = 0;
    for (long pixel = 0; pixel < pixels; pixel++)
        for (int c = 0; c < y.channels; c++, i++) {
            if (each % 4 != 0) {
                for (int lane = 0; lane < LANES; lane++)
                    draws[0][lane] = decision(stream, first + lane * each + i);
                kept[c * pixels + pixel] = bits_from(draws[0], limit, weights);
                continue;
            }
            if (i % 4 == 0)
                for (int lane = 0; lane < LANES; lane++) {
                    const uint64_t draw = bits(stream, (first + lane * each + i) / 4);
                    for (int k = 0; k < 4; k++) draws[k][lane] = (int16_t)(draw >> (16 * k));
                }
            kept[c * pixels + pixel] = bits_from(draws[i % 4], limit, weights);
        }
}

// The kept bits of channel c, or nothing where nothing is dropped.
INLINE const uint16_t *kept_bits(const Net &net, const Op &op, const Work &work, View y, int c,
                                 int64_t block) {
    if (op.drop == NO_DROP || !net.training) return nullptr;
    const long pixels = op.drop == PER_CHANNEL ? 1 : y.pixels();
    return work.kept.data() + (block * y.channels + c) * pixels;
}
INLINE real kept_scale(const Op &op) { return (real)(1 / (1 - op.threshold / 65536.0)); }

// Multiplies a row by what is kept; `pixel` is its first one.
INLINE void drop_row(const Op &op, const uint16_t *kept, Lanes *row, long pixel, int width) {
    if (!kept) return;
    const Lanes scale = lanes(kept_scale(op));
    for (int x = 0; x < width; x++)
        row[x] = where(op.drop == PER_CHANNEL ? *kept : kept[pixel + x], row[x]) * scale;
}

// Forward and backward ------------------------------------------------------------------------

inline void pointwise_forward(const Net &net, const Op &op, Work &work, int64_t block,
                              bool first) {
    const View z = net.act(op.source, block), y = net.act(op.target, block);
    if (first && op.drop != NO_DROP && net.training) draw_kept(net, op, work, y, block);
    with_function(op.before, [&](auto f) {
        with_function(op.after, [&](auto g) {
            for (int c = 0; c < z.channels; c++) {
                const uint16_t *kept = kept_bits(net, op, work, y, c, block);
                const Lanes scale = lanes(work.scale[c]), offset = lanes(work.offset[c]);
                for (int line = 0; line < z.height; line++) {
                    const Lanes *from = z.line(c, line);
                    Lanes *to = y.line(c, line);
                    for (int x = 0; x < z.width; x++)
                        to[x] = value<decltype(g)>(
                            fma(value<decltype(f)>(from[x]), scale, offset));
                    drop_row(op, kept, to, (long)line * z.width, z.width);
                }
            }
        });
    });
}

// dy becomes du, and its sums are taken: of du, and of du (f(z) - mean). One row of all channels.
INLINE void pointwise_backward_row(const Net &net, const Op &op, Work &work, View z, View dy,
                                   int line, int64_t block) {
    with_function(op.before, [&](auto f) {
        with_function(op.after, [&](auto g) {
            for (int c = 0; c < z.channels; c++) {
                const uint16_t *kept = kept_bits(net, op, work, z, c, block);
                const Lanes scale = lanes(work.scale[c]), offset = lanes(work.offset[c]);
                const Lanes mean = lanes(work.mean[c]);
                const Lanes *from = z.line(c, line);
                Lanes *d = dy.line(c, line), one = lanes(0), two = lanes(0);
                drop_row(op, kept, d, (long)line * z.width, z.width);
                for (int x = 0; x < z.width; x++) {
                    Lanes v = value<decltype(f)>(from[x]);
                    Lanes du = times_slope<decltype(g)>(fma(v, scale, offset), d[x]);
                    d[x] = du;
                    one += du;
                    two = fma(du, v - mean, two);
                }
                work.first[c] += one;
                work.second[c] += two;
            }
        });
    });
}

inline void pointwise_backward(const Net &net, const Op &op, Work &work, int64_t block) {
    const View z = net.act(op.source, block), dy = net.grad(op.target, block);
    clear_block(work);
    for (int line = 0; line < z.height; line++)
        pointwise_backward_row(net, op, work, z, dy, line, block);
    gather_block(work);
}

// After the last block: the gradients of gamma and beta, and the map from du to dz.
inline void settle_backward(const Net &net, const Op &op, Work &work, double count) {
    if (op.gamma < 0) return;
    for (size_t c = 0; c < work.total.size(); c++) {
        double inverse = work.inverse[c], slope = net.parameters[op.gamma + c] * inverse;
        net.gradients[op.beta + c] = (real)work.total[c];
        net.gradients[op.gamma + c] = (real)(work.squares[c] * inverse);
        work.slope[c] = (real)slope;
        work.pull[c] = (real)(-slope * inverse * inverse * work.squares[c] / count);
        work.push[c] = (real)(-slope * work.total[c] / count);
    }
}

// dz from du, every `step` pixels; lanes without an image get zeros.
inline void spread_gradient(const Net &net, const Op &op, const Work &work, View z, View du,
                            View dz, int step, int64_t block) {
    const unsigned used = (1u << net.lanes_in(block)) - 1;
    with_function(op.before, [&](auto f) {
        for (int c = 0; c < z.channels; c++) {
            const Lanes slope = lanes(work.slope[c]), pull = lanes(work.pull[c]);
            const Lanes push = lanes(work.push[c]), mean = lanes(work.mean[c]);
            for (int line = 0; line < z.height; line++) {
                const Lanes *from = z.line(c, line), *d = du.line(c, line);
                Lanes *to = dz.line(c, line * step);
                for (int x = 0; x < z.width; x++) {
                    Lanes centred = value<decltype(f)>(from[x]) - mean;
                    Lanes df = fma(slope, d[x], fma(pull, centred, push));
                    to[x * step] = times_slope<decltype(f)>(from[x], df);
                }
                if (used != 0xFFFF)
                    for (int x = 0; x < z.width; x++) to[x * step] = where(used, to[x * step]);
            }
        }
    });
}

// A pointwise op that follows no convolution: dx (+)= dy * keep * f'(x).
inline void pointwise_backward_alone(const Net &net, const Op &op, Work &work, int64_t block) {
    const View x = net.act(op.source, block), dy = net.grad(op.target, block);
    const View dx = net.grad(op.source, block);
    with_function(op.before, [&](auto f) {
        for (int c = 0; c < x.channels; c++) {
            const uint16_t *kept = kept_bits(net, op, work, x, c, block);
            for (int line = 0; line < x.height; line++) {
                const Lanes *from = x.line(c, line);
                Lanes *d = dy.line(c, line), *to = dx.line(c, line);
                drop_row(op, kept, d, (long)line * x.width, x.width);
                for (int i = 0; i < x.width; i++) {
                    Lanes slope = times_slope<decltype(f)>(from[i], d[i]);
                    to[i] = op.adds ? to[i] + slope : slope;
                }
            }
        }
    });
}

}  // namespace
