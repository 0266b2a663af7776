"""The C functions of the layers in int8, without floating point.

A real value is `scale * (value - zero)`. Scales do not occur in the C: a ratio of them is an
integer `multiplier` over a power of two, `1 << shift`.
"""

from __future__ import annotations

from lightsearch.exporting.c.kernels_shared import COMMON, fill_templates

_TWO = ", int32_t multiplier, int32_t other_multiplier, int shift, int zero, int other_zero, "
_WORDS = {
    "kind": "int8_t",
    "sum": "int32_t",
    "bias": "int32_t",
    "nothing": "0",
    "lowest": "-128",
    "less_zero": " - in_zero",
    "less_other_zero": " - other_zero",
    "rescaling_by_channel": ", const int32_t *multipliers, const uint8_t *shifts, int in_zero, "
    "int out_zero",
    "rescaling": ", int32_t multiplier, int shift, int in_zero, int out_zero",
    "two_rescalings": f"{_TWO}int out_zero",
    "projection_rescalings": ", const int32_t *multipliers, int32_t multiplier, int shift, "
    "int zero, int other_zero, int out_zero",
    "divides": " The multiplier divides by their number too.",
    "of_factors": " -128 is 0 and 127 is 1.",
    "factor": "(factors[c] + 128)",
    "sum_of_channel_o": "clamp(rescale(sum, multipliers[o], shifts[o]) + out_zero)",
    "sum_of_all": "clamp(rescale(sum, multiplier, shift) + out_zero)",
    "divides_part": " The multipliers, one for each part, divide by its pixels too.",
    "mean_of_part": "clamp(rescale(sum, multipliers[y * w->width + x],\n"
    "                                       shifts[y * w->width + x])\n"
    "                               + out_zero)",
    "mean_of_window": "clamp(rescale(sum, multiplier, shift) + out_zero)",
    "mean_of_pixels": "clamp(rescale(sum, multiplier, shift) + out_zero)",
    "sum_and_other": "add_scaled(*sum - zero, multiplier, other, other_multiplier, shift, "
    "out_zero)",
    "sum_and_projection": "add_scaled(*sum - zero, multiplier, other, multipliers[o], shift, "
    "out_zero)",
}

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
    "add_scaled": """\
/* A value of the sum and one of the shortcut, each by its multiplier, rounded once. */
static int8_t add_scaled(int32_t value, int32_t multiplier, int32_t other,
                         int32_t other_multiplier, int shift, int zero)
{
    const int64_t sum = (int64_t)value * multiplier + (int64_t)other * other_multiplier;
    return clamp(rescale(sum, 1, shift) + zero);
}""",
    "look_up": """\
/* An activation: a table with the output of each of the 256 inputs. */
static void look_up(int values, const int8_t *in, int8_t *out, const int8_t *table)
{
    for (int i = 0; i < values; i++)
        out[i] = table[in[i] + 128];
}""",
    **fill_templates(_WORDS),
    "prelu": """\
/* A leaky ReLU with a slope a channel. The first multiplier is of values above zero. */
static void prelu(int channels, int pixels, const int8_t *in, int8_t *out,
                  const int32_t *multipliers, const uint8_t *shifts, int in_zero, int out_zero)
{
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < pixels; p++) {
            const int value = *in++ - in_zero, by = value > 0 ? 0 : 1 + c;
            *out++ = clamp(rescale(value, multipliers[by], shifts[by]) + out_zero);
        }
}""",
    "join": """\
/* The channels of two images, each from its own scale to that of both. */
static void join(int values, int others, const int8_t *first, const int8_t *second, int8_t *out,
                 int32_t multiplier, int shift, int zero, int32_t other_multiplier,
                 int other_shift, int other_zero, int out_zero)
{
    for (int i = 0; i < values; i++)
        *out++ = clamp(rescale(first[i] - zero, multiplier, shift) + out_zero);
    for (int i = 0; i < others; i++)
        *out++ = clamp(rescale(second[i] - other_zero, other_multiplier, other_shift) + out_zero);
}""",
}
