"""The C functions of the layers in float32."""

from __future__ import annotations

from lightsearch.exporting.c.kernels_shared import COMMON, fill_templates

_WORDS = {
    "kind": "float",
    "sum": "float",
    "bias": "float",
    "nothing": "0.0f",
    "lowest": "-INFINITY",
    "less_zero": "",
    "less_other_zero": "",
    "rescaling_by_channel": "",
    "rescaling": "",
    "two_rescalings": "",
    "projection_rescalings": "",
    "divides": "",
    "of_factors": "",
    "factor": "factors[c]",
    "sum_of_channel_o": "sum",
    "sum_of_all": "sum",
    "mean_of_window": "sum / (float)(w->down.kernel * w->across.kernel)",
    "divides_part": "",
    "mean_of_part": "sum\n                    / (float)((rows[2 * y + 1] - rows[2 * y])"
    " * (columns[2 * x + 1] - columns[2 * x]))",
    "mean_of_pixels": "sum / (float)pixels",
    "sum_and_other": "*sum + other",
    "sum_and_projection": "*sum + other",
}
TAKEN = {"tanh": "hyperbolic_tangent"}  # by math.h
_ACTIVATIONS = {
    "relu": "x > 0.0f ? x : 0.0f",
    "gelu": "0.5f * x * (1.0f + erff(x * 0.707106781f))",
    "silu": "x / (1.0f + expf(-x))",
    "hardswish": "x * fminf(fmaxf(x + 3.0f, 0.0f), 6.0f) / 6.0f",
    "relu6": "fminf(fmaxf(x, 0.0f), 6.0f)",
    "hyperbolic_tangent": "tanhf(x)",
    "sigmoid": "1.0f / (1.0f + expf(-x))",
    "hardsigmoid": "fminf(fmaxf(x + 3.0f, 0.0f), 6.0f) / 6.0f",
}


def _write_activation(name: str, value: str) -> str:
    return f"""\
static void {name}(int values, const float *in, float *out)
{{
    for (int i = 0; i < values; i++) {{
        const float x = in[i];
        out[i] = {value};
    }}
}}"""


FLOAT = {
    **COMMON,
    **fill_templates(_WORDS),
    **{name: _write_activation(name, value) for name, value in _ACTIVATIONS.items()},
    "leakyrelu": """\
static void leakyrelu(int values, const float *in, float *out, float slope)
{
    for (int i = 0; i < values; i++)
        out[i] = in[i] > 0.0f ? in[i] : slope * in[i];
}""",
    "prelu": """\
/* A leaky ReLU with a slope a channel. */
static void prelu(int channels, int pixels, const float *in, float *out, const float *slopes)
{
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < pixels; p++, in++)
            *out++ = *in > 0.0f ? *in : slopes[c] * *in;
}""",
    "normalise": """\
/* Each group of channels less its mean, over its deviation; then a gain and a shift a channel. */
static void normalise(int channels, int pixels, int groups, const float *in, float *out,
                      const float *gains, const float *shifts)
{
    const int values = channels / groups * pixels;
    for (int first = 0; first < channels; first += channels / groups, in += values) {
        float mean = 0.0f, variance = 0.0f, factor;
        for (int i = 0; i < values; i++)
            mean += in[i];
        mean /= (float)values;
        for (int i = 0; i < values; i++)
            variance += (in[i] - mean) * (in[i] - mean);
        factor = 1.0f / sqrtf(variance / (float)values + 1e-5f);
        for (int i = 0; i < values; i++) {
            const int c = first + i / pixels;
            *out++ = (in[i] - mean) * factor * (gains ? gains[c] : 1.0f)
                + (shifts ? shifts[c] : 0.0f);
        }
    }
}""",
    "join": """\
/* The channels of two images. */
static void join(int values, int others, const float *first, const float *second, float *out)
{
    for (int i = 0; i < values; i++)
        *out++ = first[i];
    for (int i = 0; i < others; i++)
        *out++ = second[i];
}""",
}
