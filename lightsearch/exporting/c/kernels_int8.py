"""The C functions of the layers in int8, without floating point.

A real value is `scale * (value - zero)`. Scales do not occur in the C: a ratio of them is an
integer `multiplier` over a power of two, `1 << shift`.
"""

from __future__ import annotations

from lightsearch.exporting.c.kernels import COMMON

INT8 = {
    **COMMON,
    "rescale": """\
/* value * multiplier / 2^shift, rounded to the nearest integer, halves away from zero. */
static int64_t rescale(int64_t value, int32_t multiplier, int shift)
{
    const int64_t product = value * multiplier, half = (int64_t)1 << (shift - 1);
    return product < 0 ? -((half - product) >> shift) : (product + half) >> shift;
}""",
    "clamp": """\
static int8_t clamp(int64_t value)
{
    return (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
}""",
    "convolve": """\
static void convolve(const Window *w, const int8_t *in, int8_t *out, const int8_t *weights,
                     const int32_t *bias, const int32_t *multipliers, const uint8_t *shifts,
                     int in_zero, int out_zero)
{
    const int inputs = w->inputs / w->groups, outputs = w->outputs / w->groups;
    for (int o = 0; o < w->outputs; o++) {
        const int8_t *image = in + o / outputs * inputs * w->in_height * w->in_width;
        const int8_t *taps = weights + o * inputs * w->kernel * w->kernel;
        for (int y = 0; y < w->height; y++) {
            const int top = y * w->stride - w->padding;
            const int row_end = end_tap(top, w->kernel, w->in_height);
            for (int x = 0; x < w->width; x++) {
                const int left = x * w->stride - w->padding;
                const int column_end = end_tap(left, w->kernel, w->in_width);
                int32_t sum = bias ? bias[o] : 0;
                for (int i = 0; i < inputs; i++) {
                    for (int r = first_tap(top); r < row_end; r++) {
                        const int8_t *row = image + (i * w->in_height + top + r) * w->in_width;
                        const int8_t *tap = taps + (i * w->kernel + r) * w->kernel;
                        for (int c = first_tap(left); c < column_end; c++)
                            sum += (row[left + c] - in_zero) * tap[c];
                    }
                }
                *out++ = clamp(rescale(sum, multipliers[o], shifts[o]) + out_zero);
            }
        }
    }
}""",
    "connect": """\
/* A linear layer: each output is a weighted sum of all inputs. */
static void connect(int inputs, int outputs, const int8_t *in, int8_t *out,
                    const int8_t *weights, const int32_t *bias, const int32_t *multipliers,
                    const uint8_t *shifts, int in_zero, int out_zero)
{
    for (int o = 0; o < outputs; o++) {
        int32_t sum = bias ? bias[o] : 0;
        for (int i = 0; i < inputs; i++)
            sum += (in[i] - in_zero) * *weights++;
        out[o] = clamp(rescale(sum, multipliers[o], shifts[o]) + out_zero);
    }
}""",
    "scale_channels": """\
static void scale_channels(int channels, int pixels, const int8_t *in, int8_t *out,
                           const int8_t *gains, const int32_t *bias,
                           const int32_t *multipliers, const uint8_t *shifts, int in_zero,
                           int out_zero)
{
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < pixels; p++) {
            const int32_t sum = (*in++ - in_zero) * gains[c] + (bias ? bias[c] : 0);
            *out++ = clamp(rescale(sum, multipliers[c], shifts[c]) + out_zero);
        }
}""",
    "pool_max": """\
static void pool_max(const Window *w, const int8_t *in, int8_t *out)
{
    for (int c = 0; c < w->outputs; c++, in += w->in_height * w->in_width) {
        for (int y = 0; y < w->height; y++) {
            const int top = y * w->stride - w->padding;
            const int row_end = end_tap(top, w->kernel, w->in_height);
            for (int x = 0; x < w->width; x++) {
                const int left = x * w->stride - w->padding;
                const int column_end = end_tap(left, w->kernel, w->in_width);
                int8_t largest = -128;
                for (int r = first_tap(top); r < row_end; r++)
                    for (int k = first_tap(left); k < column_end; k++) {
                        const int8_t value = in[(top + r) * w->in_width + left + k];
                        largest = value > largest ? value : largest;
                    }
                *out++ = largest;
            }
        }
    }
}""",
    "pool_average": """\
/* Pixels of the padding count as zeros. The multiplier divides by the window's size too. */
static void pool_average(const Window *w, const int8_t *in, int8_t *out, int32_t multiplier,
                         int shift, int in_zero, int out_zero)
{
    for (int c = 0; c < w->outputs; c++, in += w->in_height * w->in_width) {
        for (int y = 0; y < w->height; y++) {
            const int top = y * w->stride - w->padding;
            const int row_end = end_tap(top, w->kernel, w->in_height);
            for (int x = 0; x < w->width; x++) {
                const int left = x * w->stride - w->padding;
                const int column_end = end_tap(left, w->kernel, w->in_width);
                int32_t sum = 0;
                for (int r = first_tap(top); r < row_end; r++)
                    for (int k = first_tap(left); k < column_end; k++)
                        sum += in[(top + r) * w->in_width + left + k] - in_zero;
                *out++ = clamp(rescale(sum, multiplier, shift) + out_zero);
            }
        }
    }
}""",
    "average": """\
/* The mean of each channel. The multiplier divides by the number of pixels too. */
static void average(int channels, int pixels, const int8_t *in, int8_t *out,
                    int32_t multiplier, int shift, int in_zero, int out_zero)
{
    for (int c = 0; c < channels; c++) {
        int32_t sum = 0;
        for (int p = 0; p < pixels; p++)
            sum += *in++ - in_zero;
        out[c] = clamp(rescale(sum, multiplier, shift) + out_zero);
    }
}""",
    "look_up": """\
/* An activation: a table with the output of each of the 256 inputs. */
static void look_up(int values, const int8_t *in, int8_t *out, const int8_t *table)
{
    for (int i = 0; i < values; i++)
        out[i] = table[in[i] + 128];
}""",
    "multiply": """\
/* Each channel times its factor, of which -128 is 0 and 127 is 1. */
static void multiply(int channels, int pixels, const int8_t *in, int8_t *out,
                     const int8_t *factors, int32_t multiplier, int shift, int in_zero,
                     int out_zero)
{
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < pixels; p++) {
            const int32_t product = (*in++ - in_zero) * (factors[c] + 128);
            *out++ = clamp(rescale(product, multiplier, shift) + out_zero);
        }
}""",
    "add_scaled": """\
/* A value of the sum and one of the shortcut, each by its multiplier, rounded once. */
static int8_t add_scaled(int32_t value, int32_t multiplier, int32_t other,
                         int32_t other_multiplier, int shift, int zero)
{
    const int64_t sum = (int64_t)value * multiplier + (int64_t)other * other_multiplier;
    return clamp(rescale(sum, 1, shift) + zero);
}""",
    "add": """\
static void add(int values, int8_t *sum, const int8_t *shortcut, int32_t multiplier,
                int32_t other_multiplier, int shift, int zero, int other_zero, int out_zero)
{
    for (int i = 0; i < values; i++)
        sum[i] = add_scaled(sum[i] - zero, multiplier, shortcut[i] - other_zero,
                            other_multiplier, shift, out_zero);
}""",
    "add_resized": """\
/* The shortcut by its nearest pixels: `rows` and `columns` say which. */
static void add_resized(const Window *w, int8_t *sum, const int8_t *shortcut,
                        const short *rows, const short *columns, int32_t multiplier,
                        int32_t other_multiplier, int shift, int zero, int other_zero,
                        int out_zero)
{
    for (int c = 0; c < w->outputs; c++, shortcut += w->in_height * w->in_width)
        for (int y = 0; y < w->height; y++)
            for (int x = 0; x < w->width; x++, sum++)
                *sum = add_scaled(*sum - zero, multiplier,
                                  shortcut[rows[y] * w->in_width + columns[x]] - other_zero,
                                  other_multiplier, shift, out_zero);
}""",
    "add_projected": """\
/* The shortcut through a 1x1 convolution, by its nearest pixels if there are `rows`. */
static void add_projected(const Window *w, int8_t *sum, const int8_t *shortcut,
                          const short *rows, const short *columns, const int8_t *weights,
                          const int32_t *multipliers, int32_t multiplier, int shift, int zero,
                          int other_zero, int out_zero)
{
    for (int o = 0; o < w->outputs; o++, weights += w->inputs)
        for (int y = 0; y < w->height; y++)
            for (int x = 0; x < w->width; x++, sum++) {
                const int8_t *pixel = shortcut
                    + (rows ? rows[y] * w->in_width + columns[x] : y * w->in_width + x);
                int32_t product = 0;
                for (int i = 0; i < w->inputs; i++)
                    product += (pixel[i * w->in_height * w->in_width] - other_zero) * weights[i];
                *sum = add_scaled(*sum - zero, multiplier, product, multipliers[o], shift,
                                  out_zero);
            }
}""",
    "copy": """\
static void copy(int values, const int8_t *in, int8_t *out)
{
    for (int i = 0; i < values; i++)
        out[i] = in[i];
}""",
}
