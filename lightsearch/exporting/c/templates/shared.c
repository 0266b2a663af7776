/* The first of a window's rows or columns that lies inside of the image. */
static int first_tap(int start, int dilation)
{
    int tap = 0;
    for (; start < 0; start += dilation)
        tap++;
    return tap;
}

/* The one after the last of them. */
static int end_tap(int start, int kernel, int dilation, int side)
{
    while (kernel > 0 && start + (kernel - 1) * dilation >= side)
        kernel--;
    return kernel;
}

static void convolve(const Window *w, const $kind *in, $kind *out, const $kind *weights,
                     const $bias *bias$rescaling_by_channel)
{
    const int inputs = w->inputs / w->groups, outputs = w->outputs / w->groups;
    for (int o = 0; o < w->outputs; o++) {
        const $kind *image = in + o / outputs * inputs * w->in_height * w->in_width;
        const $kind *taps = weights + o * inputs * w->down.kernel * w->across.kernel;
        for (int y = 0; y < w->height; y++) {
            const int top = y * w->down.stride - w->down.padding;
            const int row_start = first_tap(top, w->down.dilation);
            const int row_end = end_tap(top, w->down.kernel, w->down.dilation, w->in_height);
            for (int x = 0; x < w->width; x++) {
                const int left = x * w->across.stride - w->across.padding;
                const int column_start = first_tap(left, w->across.dilation);
                const int column_end
                    = end_tap(left, w->across.kernel, w->across.dilation, w->in_width);
                $sum sum = bias ? bias[o] : $nothing;
                for (int i = 0; i < inputs; i++) {
                    for (int r = row_start; r < row_end; r++) {
                        const $kind *row = image
                            + (i * w->in_height + top + r * w->down.dilation) * w->in_width;
                        const $kind *tap = taps + (i * w->down.kernel + r) * w->across.kernel;
                        for (int c = column_start; c < column_end; c++) {
                            const $sum value = row[left + c * w->across.dilation]$less_zero;
                            sum += value * tap[c];
                        }
                    }
                }
                *out++ = $sum_of_channel_o;
            }
        }
    }
}

/* A linear layer: each output is a weighted sum of all inputs. */
static void connect(int inputs, int outputs, const $kind *in, $kind *out, const $kind *weights,
                    const $bias *bias$rescaling_by_channel)
{
    for (int o = 0; o < outputs; o++) {
        $sum sum = bias ? bias[o] : $nothing;
        for (int i = 0; i < inputs; i++) {
            const $sum value = in[i]$less_zero;
            sum += value * *weights++;
        }
        out[o] = $sum_of_channel_o;
    }
}

static void scale_channels(int channels, int pixels, const $kind *in, $kind *out,
                           const $kind *gains, const $bias *bias$rescaling_by_channel)
{
    for (int o = 0; o < channels; o++)
        for (int p = 0; p < pixels; p++) {
            const $sum value = *in++$less_zero;
            const $sum sum = value * gains[o] + (bias ? bias[o] : $nothing);
            *out++ = $sum_of_channel_o;
        }
}

static void pool_max(const Window *w, const $kind *in, $kind *out)
{
    for (int c = 0; c < w->outputs; c++, in += w->in_height * w->in_width) {
        for (int y = 0; y < w->height; y++) {
            const int top = y * w->down.stride - w->down.padding;
            const int row_end = end_tap(top, w->down.kernel, 1, w->in_height);
            for (int x = 0; x < w->width; x++) {
                const int left = x * w->across.stride - w->across.padding;
                const int column_end = end_tap(left, w->across.kernel, 1, w->in_width);
                $kind largest = $lowest;
                for (int r = first_tap(top, 1); r < row_end; r++)
                    for (int k = first_tap(left, 1); k < column_end; k++) {
                        const $kind value = in[(top + r) * w->in_width + left + k];
                        largest = value > largest ? value : largest;
                    }
                *out++ = largest;
            }
        }
    }
}

/* Pixels of the padding count as zeros.$divides */
static void pool_average(const Window *w, const $kind *in, $kind *out$rescaling)
{
    for (int c = 0; c < w->outputs; c++, in += w->in_height * w->in_width) {
        for (int y = 0; y < w->height; y++) {
            const int top = y * w->down.stride - w->down.padding;
            const int row_end = end_tap(top, w->down.kernel, 1, w->in_height);
            for (int x = 0; x < w->width; x++) {
                const int left = x * w->across.stride - w->across.padding;
                const int column_end = end_tap(left, w->across.kernel, 1, w->in_width);
                $sum sum = $nothing;
                for (int r = first_tap(top, 1); r < row_end; r++)
                    for (int k = first_tap(left, 1); k < column_end; k++)
                        sum += in[(top + r) * w->in_width + left + k]$less_zero;
                *out++ = $mean_of_window;
            }
        }
    }
}

/* The largest pixel of each part: `rows` and `columns` say where one begins, and where it ends. */
static void pool_parts_max(const Window *w, const $kind *in, $kind *out, const short *rows,
                           const short *columns)
{
    for (int c = 0; c < w->outputs; c++, in += w->in_height * w->in_width)
        for (int y = 0; y < w->height; y++)
            for (int x = 0; x < w->width; x++) {
                $kind largest = $lowest;
                for (int r = rows[2 * y]; r < rows[2 * y + 1]; r++)
                    for (int k = columns[2 * x]; k < columns[2 * x + 1]; k++) {
                        const $kind value = in[r * w->in_width + k];
                        largest = value > largest ? value : largest;
                    }
                *out++ = largest;
            }
}

/* The mean of each part.$divides_part */
static void pool_parts_average(const Window *w, const $kind *in, $kind *out, const short *rows,
                               const short *columns$rescaling_by_channel)
{
    for (int c = 0; c < w->outputs; c++, in += w->in_height * w->in_width)
        for (int y = 0; y < w->height; y++)
            for (int x = 0; x < w->width; x++) {
                $sum sum = $nothing;
                for (int r = rows[2 * y]; r < rows[2 * y + 1]; r++)
                    for (int k = columns[2 * x]; k < columns[2 * x + 1]; k++)
                        sum += in[r * w->in_width + k]$less_zero;
                *out++ = $mean_of_part;
            }
}

/* The mean of each channel.$divides */
static void average(int channels, int pixels, const $kind *in, $kind *out$rescaling)
{
    for (int c = 0; c < channels; c++) {
        $sum sum = $nothing;
        for (int p = 0; p < pixels; p++)
            sum += *in++$less_zero;
        out[c] = $mean_of_pixels;
    }
}

/* Each channel times its factor.$of_factors */
static void multiply(int channels, int pixels, const $kind *in, $kind *out,
                     const $kind *factors$rescaling)
{
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < pixels; p++) {
            const $sum value = *in++$less_zero, sum = value * $factor;
            *out++ = $sum_of_all;
        }
}

static void add(int values, $kind *sum, const $kind *shortcut$two_rescalings)
{
    for (int i = 0; i < values; i++, sum++) {
        const $sum other = *shortcut++$less_other_zero;
        *sum = $sum_and_other;
    }
}

/* The shortcut by its nearest pixels: `rows` and `columns` say which. */
static void add_resized(const Window *w, $kind *sum, const $kind *shortcut, const short *rows,
                        const short *columns$two_rescalings)
{
    for (int c = 0; c < w->outputs; c++, shortcut += w->in_height * w->in_width)
        for (int y = 0; y < w->height; y++)
            for (int x = 0; x < w->width; x++, sum++) {
                const int pixel = rows[y] * w->in_width + columns[x];
                const $sum other = shortcut[pixel]$less_other_zero;
                *sum = $sum_and_other;
            }
}

/* The shortcut through a 1x1 convolution, by its nearest pixels if there are `rows`. */
static void add_projected(const Window *w, $kind *sum, const $kind *shortcut, const short *rows,
                          const short *columns, const $kind *weights$projection_rescalings)
{
    for (int o = 0; o < w->outputs; o++, weights += w->inputs)
        for (int y = 0; y < w->height; y++)
            for (int x = 0; x < w->width; x++, sum++) {
                const $kind *pixel = shortcut
                    + (rows ? rows[y] * w->in_width + columns[x] : y * w->in_width + x);
                $sum other = $nothing;
                for (int i = 0; i < w->inputs; i++) {
                    const $sum value = pixel[i * w->in_height * w->in_width]$less_other_zero;
                    other += value * weights[i];
                }
                *sum = $sum_and_projection;
            }
}

static void copy(int values, const $kind *in, $kind *out)
{
    for (int i = 0; i < values; i++)
        out[i] = in[i];
}

/* An image with `before` and `after` values of new channels around those that it has. */
static void widen(int before, int values, int after, const $kind *in, $kind *out, $kind zero)
{
    for (int i = 0; i < before; i++)
        *out++ = zero;
    for (int i = 0; i < values; i++)
        *out++ = *in++;
    for (int i = 0; i < after; i++)
        *out++ = zero;
}

/* The first channel of each group, then the second one of each, and so on. */
static void shuffle(int channels, int pixels, int groups, const $kind *in, $kind *out)
{
    const int size = channels / groups;
    for (int c = 0; c < channels; c++) {
        const $kind *image = in + (c % groups * size + c / groups) * pixels;
        for (int p = 0; p < pixels; p++)
            *out++ = image[p];
    }
}

/* A border: `rows` and `columns` say where each pixel comes from, -1 where it is a zero. */
static void pad(const Window *w, const $kind *in, $kind *out, const short *rows,
                const short *columns, $kind zero)
{
    for (int c = 0; c < w->outputs; c++, in += w->in_height * w->in_width)
        for (int y = 0; y < w->height; y++)
            for (int x = 0; x < w->width; x++) {
                const int is_inside = rows[y] >= 0 && columns[x] >= 0;
                *out++ = is_inside ? in[rows[y] * w->in_width + columns[x]] : zero;
            }
}
