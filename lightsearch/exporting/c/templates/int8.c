/* value * multiplier / 2^shift, rounded to the nearest integer, halves away from zero. */
static int64_t rescale(int64_t value, int32_t multiplier, int shift)
{
    const int64_t product = value * multiplier, half = (int64_t)1 << (shift - 1);
    return product < 0 ? -((half - product) >> shift) : (product + half) >> shift;
}

static int8_t clamp(int64_t value)
{
    return (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
}

/* A value of the sum and one of the shortcut, each by its multiplier, rounded once. */
static int8_t add_scaled(int32_t value, int32_t multiplier, int32_t other,
                         int32_t other_multiplier, int shift, int zero)
{
    const int64_t sum = (int64_t)value * multiplier + (int64_t)other * other_multiplier;
    return clamp(rescale(sum, 1, shift) + zero);
}

/* An activation: a table with the output of each of the 256 inputs. */
static void look_up(int values, const int8_t *in, int8_t *out, const int8_t *table)
{
    for (int i = 0; i < values; i++)
        out[i] = table[in[i] + 128];
}

/* A leaky ReLU with a slope a channel. The first multiplier is of values above zero. */
static void prelu(int channels, int pixels, const int8_t *in, int8_t *out,
                  const int32_t *multipliers, const uint8_t *shifts, int in_zero, int out_zero)
{
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < pixels; p++) {
            const int value = *in++ - in_zero, by = value > 0 ? 0 : 1 + c;
            *out++ = clamp(rescale(value, multipliers[by], shifts[by]) + out_zero);
        }
}

/* The channels of two images, each from its own scale to that of both. */
static void join(int values, int others, const int8_t *first, const int8_t *second, int8_t *out,
                 int32_t multiplier, int shift, int zero, int32_t other_multiplier,
                 int other_shift, int other_zero, int out_zero)
{
    for (int i = 0; i < values; i++)
        *out++ = clamp(rescale(first[i] - zero, multiplier, shift) + out_zero);
    for (int i = 0; i < others; i++)
        *out++ = clamp(rescale(second[i] - other_zero, other_multiplier, other_shift) + out_zero);
}
