"""The C functions of the layers: the common ones, and those in float32."""

from __future__ import annotations

WINDOW = """\
/* How a window slides over an image: from channels, rows and columns to others. */
typedef struct {
    int inputs, in_height, in_width;
    int outputs, height, width;
    int kernel, stride, padding, groups;
} Window;"""

COMMON = {
    "first_tap": """\
/* The first of a window's rows or columns that lies inside of the image. */
static int first_tap(int start)
{
    return start < 0 ? -start : 0;
}""",
    "end_tap": """\
/* The one after the last of them. */
static int end_tap(int start, int kernel, int side)
{
    return start + kernel > side ? side - start : kernel;
}""",
}

FLOAT = {
    **COMMON,
    "convolve": """\
static void convolve(const Window *w, const float *in, float *out, const float *weights,
                     const float *bias)
{
    const int inputs = w->inputs / w->groups, outputs = w->outputs / w->groups;
    for (int o = 0; o < w->outputs; o++) {
        const float *image = in + o / outputs * inputs * w->in_height * w->in_width;
        const float *taps = weights + o * inputs * w->kernel * w->kernel;
        for (int y = 0; y < w->height; y++) {
            const int top = y * w->stride - w->padding;
            const int row_end = end_tap(top, w->kernel, w->in_height);
            for (int x = 0; x < w->width; x++) {
                const int left = x * w->stride - w->padding;
                const int column_end = end_tap(left, w->kernel, w->in_width);
                float sum = bias ? bias[o] : 0.0f;
                for (int i = 0; i < inputs; i++) {
                    for (int r = first_tap(top); r < row_end; r++) {
                        const float *row = image + (i * w->in_height + top + r) * w->in_width;
                        const float *tap = taps + (i * w->kernel + r) * w->kernel;
                        for (int c = first_tap(left); c < column_end; c++)
                            sum += row[left + c] * tap[c];
                    }
                }
                *out++ = sum;
            }
        }
    }
}""",
    "connect": """\
/* A linear layer: each output is a weighted sum of all inputs. */
static void connect(int inputs, int outputs, const float *in, float *out, const float *weights,
                    const float *bias)
{
    for (int o = 0; o < outputs; o++) {
        float sum = bias ? bias[o] : 0.0f;
        for (int i = 0; i < inputs; i++)
            sum += in[i] * *weights++;
        out[o] = sum;
    }
}""",
    "scale_channels": """\
static void scale_channels(int channels, int pixels, const float *in, float *out,
                           const float *gains, const float *shifts)
{
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < pixels; p++)
            *out++ = *in++ * gains[c] + (shifts ? shifts[c] : 0.0f);
}""",
    "pool_max": """\
static void pool_max(const Window *w, const float *in, float *out)
{
    for (int c = 0; c < w->outputs; c++, in += w->in_height * w->in_width) {
        for (int y = 0; y < w->height; y++) {
            const int top = y * w->stride - w->padding;
            const int row_end = end_tap(top, w->kernel, w->in_height);
            for (int x = 0; x < w->width; x++) {
                const int left = x * w->stride - w->padding;
                const int column_end = end_tap(left, w->kernel, w->in_width);
                float largest = -INFINITY;
                for (int r = first_tap(top); r < row_end; r++)
                    for (int k = first_tap(left); k < column_end; k++) {
                        const float value = in[(top + r) * w->in_width + left + k];
                        largest = value > largest ? value : largest;
                    }
                *out++ = largest;
            }
        }
    }
}""",
    "pool_average": """\
/* Pixels of the padding count as zeros. */
static void pool_average(const Window *w, const float *in, float *out)
{
    for (int c = 0; c < w->outputs; c++, in += w->in_height * w->in_width) {
        for (int y = 0; y < w->height; y++) {
            const int top = y * w->stride - w->padding;
            const int row_end = end_tap(top, w->kernel, w->in_height);
            for (int x = 0; x < w->width; x++) {
                const int left = x * w->stride - w->padding;
                const int column_end = end_tap(left, w->kernel, w->in_width);
                float sum = 0.0f;
                for (int r = first_tap(top); r < row_end; r++)
                    for (int k = first_tap(left); k < column_end; k++)
                        sum += in[(top + r) * w->in_width + left + k];
                *out++ = sum / (float)(w->kernel * w->kernel);
            }
        }
    }
}""",
    "average": """\
/* The mean of each channel. */
static void average(int channels, int pixels, const float *in, float *out)
{
    for (int c = 0; c < channels; c++) {
        float sum = 0.0f;
        for (int p = 0; p < pixels; p++)
            sum += *in++;
        out[c] = sum / (float)pixels;
    }
}""",
    "relu": """\
static void relu(int values, const float *in, float *out)
{
    for (int i = 0; i < values; i++)
        out[i] = in[i] > 0.0f ? in[i] : 0.0f;
}""",
    "gelu": """\
static void gelu(int values, const float *in, float *out)
{
    for (int i = 0; i < values; i++)
        out[i] = 0.5f * in[i] * (1.0f + erff(in[i] * 0.707106781f));
}""",
    "silu": """\
static void silu(int values, const float *in, float *out)
{
    for (int i = 0; i < values; i++)
        out[i] = in[i] / (1.0f + expf(-in[i]));
}""",
    "hardswish": """\
static void hardswish(int values, const float *in, float *out)
{
    for (int i = 0; i < values; i++)
        out[i] = in[i] * fminf(fmaxf(in[i] + 3.0f, 0.0f), 6.0f) / 6.0f;
}""",
    "sigmoid": """\
static void sigmoid(int values, const float *in, float *out)
{
    for (int i = 0; i < values; i++)
        out[i] = 1.0f / (1.0f + expf(-in[i]));
}""",
    "multiply": """\
/* Each channel times its factor. */
static void multiply(int channels, int pixels, const float *in, float *out,
                     const float *factors)
{
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < pixels; p++)
            *out++ = *in++ * factors[c];
}""",
    "add": """\
static void add(int values, float *sum, const float *shortcut)
{
    for (int i = 0; i < values; i++)
        sum[i] += shortcut[i];
}""",
    "add_resized": """\
/* The shortcut by its nearest pixels: `rows` and `columns` say which. */
static void add_resized(const Window *w, float *sum, const float *shortcut,
                        const short *rows, const short *columns)
{
    for (int c = 0; c < w->outputs; c++, shortcut += w->in_height * w->in_width)
        for (int y = 0; y < w->height; y++)
            for (int x = 0; x < w->width; x++)
                *sum++ += shortcut[rows[y] * w->in_width + columns[x]];
}""",
    "add_projected": """\
/* The shortcut through a 1x1 convolution, by its nearest pixels if there are `rows`. */
static void add_projected(const Window *w, float *sum, const float *shortcut,
                          const short *rows, const short *columns, const float *weights)
{
    for (int o = 0; o < w->outputs; o++, weights += w->inputs)
        for (int y = 0; y < w->height; y++)
            for (int x = 0; x < w->width; x++) {
                const float *pixel = shortcut
                    + (rows ? rows[y] * w->in_width + columns[x] : y * w->in_width + x);
                float product = 0.0f;
                for (int i = 0; i < w->inputs; i++)
                    product += pixel[i * w->in_height * w->in_width] * weights[i];
                *sum++ += product;
            }
}""",
    "copy": """\
static void copy(int values, const float *in, float *out)
{
    for (int i = 0; i < values; i++)
        out[i] = in[i];
}""",
}
