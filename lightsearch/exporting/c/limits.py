"""What C can be written for. No torch."""

from __future__ import annotations

from dataclasses import MISSING, fields

from lightsearch.design.parts import kind_of
from lightsearch.errors import DesignError
from lightsearch.exporting.c.program import Instruction, Program
from lightsearch.network.operations import (
    Activation,
    AdaptivePool,
    Add,
    Border,
    Branches,
    ChannelGate,
    Conv2d,
    Custom,
    Dense,
    Drop,
    Extend,
    GlobalPool,
    GroupNorm,
    Iterate,
    Op,
    PerPass,
    Pool,
    PRelu,
    ShuffleChannels,
    Slice,
    Squeeze,
)

ACTIVATIONS = (
    "relu",
    "gelu",
    "silu",
    "hardswish",
    "relu6",
    "leakyrelu",
    "tanh",
    "sigmoid",
    "hardsigmoid",
)
_FIELDS: dict[type, set[str]] = {
    Conv2d: {
        "inputs",
        "outputs",
        "kernel",
        "stride",
        "padding",
        "groups",
        "bias",
        "dilation",
        "across",
    },
    Dense: {"inputs", "outputs", "bias"},
    Activation: {"name", "slope"},
    PRelu: {"channels"},
    GroupNorm: {"channels", "groups", "affine"},
    Drop: {"rate", "per"},
    Pool: {"by", "kernel", "stride", "padding", "across"},
    AdaptivePool: {"by", "height", "width"},
    GlobalPool: set(),
    ChannelGate: {"channels"},
    Squeeze: {"channels", "hidden"},
    Add: {"body", "size", "project"},
    Branches: {"by", "first", "second"},
    Slice: {"start", "stop"},
    Extend: {"before", "after"},
    ShuffleChannels: {"groups"},
    Border: {"top", "bottom", "left", "right", "mode"},
    Iterate: {"body", "passes"},
    PerPass: {"op", "passes", "each"},
}


def check_known(op: Op, layer: str, place: str) -> None:
    """Raise `DesignError` for an operation, or a property of one, that is unknown here."""
    if isinstance(op, Custom):
        raise DesignError(
            "C can be written for the library's own layer kinds, but got "
            f"{kind_of(type(op.layer))!r} at {place}: its code is yours"
        )
    reason = ""
    if type(op) not in _FIELDS:
        reason = f"its operation {type(op).__name__} is unknown there"
    elif isinstance(op, Activation) and op.name not in ACTIVATIONS:
        reason = f"its activation {op.name!r} is unknown there"
    for field in fields(op) if not reason else ():
        value = getattr(op, field.name)
        is_known = field.name in _FIELDS[type(op)]
        if not is_known and (field.default is MISSING or value != field.default):
            reason = f"its property {field.name}={value!r} is unknown there"
    if reason:
        raise DesignError(f"C cannot be written yet for {layer} at {place}: {reason}")


def find_float_only(program: Program) -> Instruction | None:
    """Return the first instruction that needs floating point, or None.

    A group norm divides by a deviation that each image has of its own.
    """
    return next((one for one in program.instructions if isinstance(one.op, GroupNorm)), None)


def check_int8(program: Program) -> None:
    """Raise `DesignError`, with the place, for a layer that needs floating point."""
    one = find_float_only(program)
    if one is not None:
        raise DesignError(
            f"C in int8 cannot be written for {one.layer} at {one.place}: its norm divides by "
            "each image's own deviation, in floating point; export it in float32, or train it "
            "with batch norm"
        )
