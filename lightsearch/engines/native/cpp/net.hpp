// A network and its memory.
//
// Python describes the network by values and ops (interface.hpp, plan.py). The engine runs it in
// segments: from one batch normalisation, whose statistics need every block, to the next. Within a
// segment it runs all ops on one block of 16 images, then on the next block.
#pragma once
#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "interface.hpp"
#include "lanes.hpp"
#include "profile.hpp"

namespace {

// The address of what starts at `offset` in an array, or null if it is absent.
template <class T> INLINE T *start(T *array, int64_t offset) {
    return offset < 0 ? nullptr : array + offset;
}

// One block of a value: channels x height x width pixels of 16 lanes.
struct View {
    Lanes *at;        // pixel (0, 0) of channel 0
    long row, plane;  // distance in pixels to the next row, and to the next channel
    int channels, height, width;

    INLINE Lanes *line(int channel, int y) const { return at + channel * plane + y * row; }
    long pixels() const { return (long)height * width; }
};

// Prefetch distance in pixels: AHEAD for data in the shared cache, NEAR for data in the core's
// own. In measurements, 32 to 64 were equally fast, and 8 gained little.
constexpr int AHEAD = 48, NEAR = 12;
INLINE void fetch(const Lanes *at) { __builtin_prefetch(at + AHEAD); }
INLINE void fetch_to_write(const Lanes *at, int pixels) { __builtin_prefetch(at + pixels, 1); }

// The sum of a channel's pixels, row by row. Pixels lie `step` apart.
INLINE Lanes plane_sum(View x, int channel, int step = 1) {
    Lanes total = lanes(0);
    for (int r = 0; r < x.height; r++) {
        Lanes row = lanes(0);
        for (int s = 0; s < x.width; s++) row += x.line(channel, r)[s * step];
        total += row;
    }
    return total;
}

INLINE void clear(View x) {
    for (int c = 0; c < x.channels; c++)
        for (int r = 0; r < x.height; r++) std::fill_n(x.line(c, r), x.width, lanes(0));
}

// Memory full of zeros that starts at a cache line.
class Memory {
  public:
    Memory() = default;
    explicit Memory(size_t count) : count_(count) {
        at_.reset(
            static_cast<Lanes *>(::operator new(count * sizeof(Lanes), std::align_val_t(64))));
        std::memset(static_cast<void *>(at_.get()), 0, count * sizeof(Lanes));
    }
    Lanes *at() const { return at_.get(); }
    size_t count() const { return count_; }

  private:
    struct Free {
        void operator()(Lanes *p) const { ::operator delete(p, std::align_val_t(64)); }
    };
    std::unique_ptr<Lanes, Free> at_;
    size_t count_ = 0;
};

// Where the planes of a value lie in memory. Planes have an odd number of pixels, so that channels
// do not compete for the same cache sets.
struct Layout {
    int channels = 0, height = 0, width = 0;
    long halo = 0, rows = 0, row = 0, plane = 0;

    Layout() = default;
    Layout(int channels, int height, int width, long halo)
        : Layout(channels, height, width, halo, height + 2 * halo, width + 2 * halo) {}
    Layout(int channels, int height, int width, long halo, long rows, long columns)
        : channels(channels), height(height), width(width), halo(halo), rows(rows), row(columns),
          plane((rows * columns) | 1) {}
    size_t block() const { return (size_t)channels * plane; }
    bool gaps() const { return rows != height || row != width; }  // pixels that stay zero
    View view(Lanes *base) const {
        return {base + halo * row + halo, row, plane, channels, height, width};
    }
};

// How Winograd's algorithm (winograd.hpp) divides a plane of outputs: the first `rows` rows of the
// first `columns` columns into tiles of 4 x 4, the rest into tiles of 2 x 2. Without tiles, the
// convolution does not use the algorithm.
struct Tiling {
    int rows = 0, columns = 0;
    bool fours = false, twos = false;  // whether there are tiles of 4 x 4, of 2 x 2

    bool any() const { return fours || twos; }
};

// The weights of a dense convolution in one direction, in the order that its kernel reads them.
struct Packed {
    Tiling tiling;
    size_t group = 0;  // numbers per group
    std::vector<real> weights;

    real *of(int index) { return weights.data() + index * group; }
};

// What an op keeps between its calls within a step.
struct Work {
    Packed forward, backward;
    Memory tile;                         // one transformed tile of all channels
    Layout spread_layout;                // of the spread gradient of a convolution's output
    int spread = -1;                     // index of that gradient in the net's `spreads`
    Memory sums;                         // gradients of the weights, one per lane
    int together = 0;                    // group size in winograd_weights.hpp, whose products
                                         // `sums` then holds; 0: not used
    Memory factors;                      // room for that algorithm's factors
    std::vector<Lanes> first, second;    // sums over a block, by channel
    std::vector<double> total, squares;  // sums over the batch, by channel
    std::vector<real> scale, offset, mean, inverse;  // y = scale * x + offset
    std::vector<real> slope, pull, push;             // dx = slope dy + pull (x - mean) + push
    std::vector<uint16_t> kept;  // dropout: a bit per lane, 1 if the value stays
    std::vector<Lanes> small;    // what a gate's backward pass needs, by block
};

struct Net {
    std::vector<Value> values;
    std::vector<Op> ops;
    std::vector<Work> work;
    int64_t input, scores;
    int64_t blocks;
    std::vector<Memory> acts, shared;
    std::vector<size_t> strides;  // of each shared buffer, from block to block
    std::vector<Layout> layouts, gradient_layouts;
    // Memory that every segment uses again, so that it stays in the caches. The indices say, for
    // each value, which of it holds the value and its gradient; -1: none.
    std::vector<Memory> passing_acts, passing_grads, spreads;
    std::vector<int> passing_act, passing_grad;

    const real *parameters = nullptr;
    real *gradients = nullptr;
    real *running = nullptr;
    uint64_t dropout_stream = 0;
    int64_t images = 0;             // in this step's batch
    const int64_t *stop = nullptr;  // the caller's flag: if not zero, this step ends early
#ifdef LIGHTSEARCH_PROFILE
    Profile profile;
#endif
    bool training = true;

    Net(const Value *, int64_t, const Op *, int64_t, int64_t batch, int64_t input, int64_t scores);

    View act(int64_t value, int64_t block) const {
        if (training && passing_act[value] >= 0)
            return layouts[value].view(passing_acts[passing_act[value]].at());
        size_t shift = values[value].batch && training ? block * layouts[value].block() : 0;
        return layouts[value].view(acts[value].at() + shift);
    }
    View grad(int64_t value, int64_t block) const {
        int64_t buffer = values[value].gradient;
        const Layout &layout = gradient_layouts[value];
        if (buffer == NO_GRADIENT) return layout.view(nullptr);
        if (buffer == OWN_BLOCK) return layout.view(passing_grads[passing_grad[value]].at());
        return layout.view(shared[buffer].at() + block * strides[buffer]);
    }
    int64_t blocks_now() const { return (images + LANES - 1) / LANES; }
    int64_t lanes_in(int64_t block) const {
        int64_t left = images - block * LANES;
        return left < LANES ? left : LANES;
    }

    // Checked between blocks, so that a large batch ends soon too.
    bool stopped() const { return stop && __atomic_load_n(stop, __ATOMIC_RELAXED); }

    void share_memory();
    void clear_gaps(size_t start, size_t end);
    void forward();   // runs every op on every block of the batch
    void backward();  // from the gradient of the scores to the gradients of the parameters
    void infer();     // runs one block with running statistics and without dropout
};

}  // namespace
