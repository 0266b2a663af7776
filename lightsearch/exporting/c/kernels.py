"""The C functions of the layers, from the files in `templates/`, in float32 and in int8.

The loops of `shared.c` are the same in both. What differs is the `$kind` of a value and of a
`$sum`, how a value is read (`$less_zero` takes the zero off), and how a sum is written: as it is,
or rescaled. The parameters that this takes in int8 come last. No loop divides to find its ends,
since small processors lack a division.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from importlib.resources import files
from string import Template

from lightsearch.exporting.c.constants import LINE

TAKEN = {"tanh": "hyperbolic_tangent"}  # by math.h
_FLOAT_WORDS = {
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
_TWO = ", int32_t multiplier, int32_t other_multiplier, int shift, int zero, int other_zero, "
_RESCALED = "clamp(rescale(sum, multiplier, shift) + out_zero)"
_INT8_WORDS = {
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
    "sum_of_all": _RESCALED,
    "divides_part": " The multipliers, one for each part, divide by its pixels too.",
    "mean_of_part": "clamp(rescale(sum, multipliers[y * w->width + x],\n"
    "                                       shifts[y * w->width + x])\n"
    "                               + out_zero)",
    "mean_of_window": _RESCALED,
    "mean_of_pixels": _RESCALED,
    "sum_and_other": "add_scaled(*sum - zero, multiplier, other, other_multiplier, shift, "
    "out_zero)",
    "sum_and_projection": "add_scaled(*sum - zero, multiplier, other, multipliers[o], shift, "
    "out_zero)",
}
_ACTIVATIONS = {  # in float32; in int8, they are tables
    "relu": "x > 0.0f ? x : 0.0f",
    "gelu": "0.5f * x * (1.0f + erff(x * 0.707106781f))",
    "silu": "x / (1.0f + expf(-x))",
    "hardswish": "x * fminf(fmaxf(x + 3.0f, 0.0f), 6.0f) / 6.0f",
    "relu6": "fminf(fmaxf(x, 0.0f), 6.0f)",
    "hyperbolic_tangent": "tanhf(x)",
    "sigmoid": "1.0f / (1.0f + expf(-x))",
    "hardsigmoid": "fminf(fmaxf(x + 3.0f, 0.0f), 6.0f) / 6.0f",
}


def _read(file: str, words: Mapping[str, str]) -> dict[str, str]:
    """Return the functions of a file by name, with `words` put in, and heads on lines that fit."""
    text = Template(_load(file)).substitute(words)
    functions = re.split(r"\n\n(?=/\*|static)", text)
    return {_NAME.findall(one)[0]: _HEAD.sub(_wrap, one, count=1) for one in functions}


def _load(file: str) -> str:
    path = files("lightsearch.exporting.c") / "templates" / file
    return path.read_text("utf-8").rstrip("\n")


_NAME = re.compile(r"^static .*?(\w+)\(", re.MULTILINE)
_HEAD = re.compile(r"^static [^{]*\)$", re.MULTILINE)


def _wrap(head: re.Match[str]) -> str:
    line = " ".join(head[0].split())
    whole = line.replace(" ", "\0").replace(",\0", ", ")  # break between parameters
    indent = " " * (line.index("(") + 1)
    return textwrap.fill(whole, LINE, subsequent_indent=indent).replace("\0", " ")


def _write_activation(name: str, value: str) -> str:
    return f"""\
static void {name}(int values, const float *in, float *out)
{{
    for (int i = 0; i < values; i++) {{
        const float x = in[i];
        out[i] = {value};
    }}
}}"""


WINDOW = _load("window.c")
FLOAT = {
    **_read("shared.c", _FLOAT_WORDS),
    **{name: _write_activation(name, value) for name, value in _ACTIVATIONS.items()},
    **_read("float32.c", {}),
}
INT8 = {**_read("int8.c", {}), **_read("shared.c", _INT8_WORDS)}
