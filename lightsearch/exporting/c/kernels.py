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
    "mean_of_window": "sum / (float)(w->kernel * w->kernel)",
    "mean_of_pixels": "sum / (float)pixels",
    "sum_and_other": "*sum + other",
    "sum_and_projection": "*sum + other",
}
_ACTIVATIONS = {
    "relu": "x > 0.0f ? x : 0.0f",
    "gelu": "0.5f * x * (1.0f + erff(x * 0.707106781f))",
    "silu": "x / (1.0f + expf(-x))",
    "hardswish": "x * fminf(fmaxf(x + 3.0f, 0.0f), 6.0f) / 6.0f",
    "sigmoid": "1.0f / (1.0f + expf(-x))",
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
}
