// Turns uint8 images into a block of augmented, normalised images, as augment.py does in PyTorch.
//
// One affine map does rotation, shear, scale and shift, with bilinear interpolation and black
// outside. Brightness, contrast and erasing follow. Maps and random draws are those of augment.py.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "net.hpp"
#include "random.hpp"

namespace {

// Whether the augmentation has an affine map.
inline bool moves(const Augmentation &how) {
    return how.rotation != 0 || how.shear != 0 || how.scale != 0 || how.shift != 0;
}

// The pixels at each place and their right neighbours. One load fetches both.
struct Neighbours {
    Reg left, right;

    INLINE Neighbours(const real *from, Mask place) {
#ifdef LIGHTSEARCH_DOUBLE
        for (int i = 0; i < WIDTH; i++) left[i] = from[place[i]], right[i] = from[place[i] + 1];
#else
        typedef uint64_t Four __attribute__((vector_size(32)));
        typedef float Eight __attribute__((vector_size(32)));
        UNROLL_FOR (int first = 0; first < WIDTH; first += 8) {
            Four pairs[2];
            UNROLL_FOR (int i = 0; i < 8; i++) {
                uint64_t pair;
                std::memcpy(&pair, from + place[first + i], sizeof pair);
                pairs[i / 4][i % 4] = pair;
            }
            const Eight a = (Eight)pairs[0], b = (Eight)pairs[1];
#ifdef __clang__
            const Eight even = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
            const Eight odd = __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
#else
            typedef int32_t Places __attribute__((vector_size(32)));
            const Eight even = __builtin_shuffle(a, b, Places{0, 2, 4, 6, 8, 10, 12, 14});
            const Eight odd = __builtin_shuffle(a, b, Places{1, 3, 5, 7, 9, 11, 13, 15});
#endif
            std::memcpy((real *)&left + first, &even, sizeof even);
            std::memcpy((real *)&right + first, &odd, sizeof odd);
        }
#endif
    }
};

// Augments one image at a time. A border of zeros lets bilinear interpolation read outside.
class Augmenter {
  public:
    Augmenter(const Images &images, const Augmentation *how, int64_t count)
        : images_(images), how_(how), count_(count), height_((int)images.height),
          width_((int)images.width), size_((size_t)height_ * width_),
          bordered_(images.channels * (height_ + 3) * (width_ + 3)),
          result_(images.channels * size_) {
        for (int v = 0; v < 256; v++) level_[v] = v / (real)255;
    }

    // Returns image `index` of the data set, augmented as number `place` of the batch.
    const std::vector<real> &image(int64_t index, int64_t place) {
        const uint8_t *from = images_.pixels + index * images_.channels * size_;
        if (how_ && moves(*how_)) {
            border(from);
            move(place);
        } else {
            for (size_t i = 0; i < result_.size(); i++) result_[i] = from[i] / (real)255;
        }
        if (!how_) return result_;
        if (how_->brightness != 0) {
            real factor = around_one(how_->brightness, how_->brightness_stream, place);
            for (real &v : result_) v = clamped(v * factor);
        }
        if (how_->contrast != 0) {
            real factor = around_one(how_->contrast, how_->contrast_stream, place);
            double total = 0;
            for (real v : result_) total += v;
            real rest = (real)(total / result_.size()) * (1 - factor);
            for (real &v : result_) v = clamped(v * factor + rest);
        }
        if (how_->erasing != 0) erase(place);
        return result_;
    }

  private:
    static real clamped(real v) { return std::min((real)1, std::max((real)0, v)); }

    // Random number k of an image, in [0, 1). A stream has the layout (k, image).
    real draw(uint64_t stream, int k, int64_t place) const {
        return uniform(stream, k * count_ + place);
    }
    real around_one(double strength, uint64_t stream, int64_t place) const {
        return 1 + (real)strength * (2 * draw(stream, 0, place) - 1);
    }

    void border(const uint8_t *from) {
        const int row = width_ + 3;
        real *to = bordered_.data() + row + 1;
        for (int c = 0; c < images_.channels; c++, to += (height_ + 3) * row)
            for (int y = 0; y < height_; y++)
                for (int x = 0; x < width_; x++) to[y * row + x] = level_[*from++];
    }

    void move(int64_t place) {
        real d[5];
        for (int k = 0; k < 5; k++) d[k] = 2 * draw(how_->affine_stream, k, place) - 1;
        const real angle = d[0] * (real)how_->rotation;
        const real slant = std::tan(d[1] * (real)how_->shear);
        const real zoom = 1 / (1 + d[2] * (real)how_->scale);
        const real cosine = std::cos(angle) * zoom, sine = std::sin(angle) * zoom;
        // In pixels from the centre: input = matrix * output + shift.
        const real xx = cosine, xy = cosine * slant - sine;
        const real yx = sine, yy = sine * slant + cosine;
        const real middle_x = (width_ - 1) / (real)2, middle_y = (height_ - 1) / (real)2;
        const real shift_x = (real)how_->shift * d[3] * width_ + middle_x;
        const real shift_y = (real)how_->shift * d[4] * height_ + middle_y;
        const int row = width_ + 3;
        const long plane = (long)(height_ + 3) * row;
        Reg steps;
        for (int i = 0; i < WIDTH; i++) steps[i] = (real)i;
        for (int y = 0; y < height_; y++)
            for (int x = 0; x < width_; x += WIDTH) {  // a register of pixels at once
                const Reg out_x = steps + (real)x - middle_x;
                const real out_y = y - middle_y;
                const Reg in_x = from_border(xx * out_x + xy * out_y + shift_x, width_);
                const Reg in_y = from_border(yx * out_x + yy * out_y + shift_y, height_);
                const Mask left = __builtin_convertvector(in_x, Mask);
                const Mask top = __builtin_convertvector(in_y, Mask);
                const Reg u = in_x - __builtin_convertvector(left, Reg);
                const Reg v = in_y - __builtin_convertvector(top, Reg);
                const Mask place = top * row + left;
                const real *from = bordered_.data();
                real *to = result_.data() + y * width_ + x;
                for (int c = 0; c < images_.channels; c++, from += plane, to += size_) {
                    const Neighbours upper(from, place), lower(from + row, place);
                    const Reg found = (1 - v) * ((1 - u) * upper.left + u * upper.right) +
                                      v * ((1 - u) * lower.left + u * lower.right);
                    const int count = std::min(WIDTH, width_ - x);
                    std::memcpy(to, &found, count * sizeof(real));
                }
            }
    }

    // A coordinate that counts from the border, limited to the border; NaN becomes the border.
    static INLINE Reg from_border(Reg at, int size) {
        at = choose(at > -1, at, spread(-1));
        return choose(at < (real)size, at, spread((real)size)) + 1;
    }

    void erase(int64_t place) {
        const uint64_t stream = how_->erasing_stream;
        if (!(draw(stream, 0, place) < (real)how_->erasing)) return;
        const real area = ((real)0.02 + (real)0.13 * draw(stream, 1, place)) * height_ * width_;
        const real aspect = std::exp((2 * draw(stream, 2, place) - 1) * std::log((real)3.3));
        auto side = [](real length, int most) {
            return std::min((real)most, std::max((real)1, std::nearbyint(std::sqrt(length))));
        };
        const real tall = side(area * aspect, height_), wide = side(area / aspect, width_);
        const int top = (int)(draw(stream, 3, place) * (height_ - tall + 1));
        const int left = (int)(draw(stream, 4, place) * (width_ - wide + 1));
        for (int c = 0; c < images_.channels; c++)
            for (int y = top; y < top + (int)tall; y++)
                std::fill_n(result_.data() + c * size_ + y * width_ + left, (int)wide, (real)0);
    }

    const Images &images_;
    const Augmentation *how_;
    int64_t count_;
    int height_, width_;
    size_t size_;
    std::vector<real> bordered_, result_;
    real level_[256];  // the value of each byte, in [0, 1]
};

// Writes images into the lanes of one block. Lanes without an image are zero.
inline void fill_block(View to, const Images &images, Augmenter &augmenter, const int64_t *indices,
                       int64_t first, int64_t count) {
    const size_t size = (size_t)to.channels * to.pixels();
    std::vector<real> pixels(LANES * size);  // image by image, since lanes lie far apart
    for (int64_t i = 0; i < count; i++) {
        const std::vector<real> &image = augmenter.image(indices[first + i], first + i);
        std::copy(image.begin(), image.end(), pixels.begin() + i * size);
    }
    const real *from = pixels.data();
    for (int c = 0; c < to.channels; c++) {
        const real mean = (real)images.mean[c], scale = (real)(1 / images.deviation[c]);
        for (int y = 0; y < to.height; y++) {
            Lanes *row = to.line(c, y);
            for (int x = 0; x < to.width; x++, from++)
                for (int i = 0; i < LANES; i++)
                    lane(row[x], i) = i < count ? (from[i * size] - mean) * scale : 0;
        }
    }
}

}  // namespace
