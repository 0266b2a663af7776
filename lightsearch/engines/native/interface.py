"""What Python and the compiled library share: structs, and constants that are written into them.

`cpp/interface.hpp` has the same, in the same order, and explains each field. `library.py` compares
`entries` with the library's own table when it loads the library. No torch in here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import c_double, c_int64, c_uint64, c_void_p
from enum import IntEnum
from typing import Any, ClassVar, TypeAlias

Field: TypeAlias = tuple[str, type[Any]]


def _fields(kind: type[Any], names: str) -> list[Field]:
    return [(name, kind) for name in names.split()]


class Value(ctypes.Structure):
    """A tensor."""

    _fields_: ClassVar = _fields(c_int64, "channels height width halo batch gradient")


class Op(ctypes.Structure):
    """An operation that makes a tensor from another."""

    _fields_: ClassVar = [
        *_fields(
            c_int64,
            """
        kind source other target height width stride padding groups dilation weight bias weight2
        bias2 hidden gamma beta running before after""",
        ),
        ("slope", c_double),
        *_fields(
            c_int64,
            """
            channel top left border drop threshold drop_index tail wanted wanted_other adds
            adds_other again barrier""",
        ),
    ]


class Images(ctypes.Structure):
    """The images of a data set."""

    _fields_: ClassVar = [
        *_fields(c_void_p, "pixels labels"),
        *_fields(c_int64, "count channels height width"),
        *_fields(c_void_p, "mean deviation"),
    ]


class Augmentation(ctypes.Structure):
    """How images are augmented, and the random streams of it."""

    _fields_: ClassVar = [
        *_fields(c_double, "rotation shear scale shift brightness contrast erasing"),
        *_fields(c_uint64, "affine_stream brightness_stream contrast_stream erasing_stream"),
    ]


class Training(ctypes.Structure):
    """What the steps of an epoch share."""

    _fields_: ClassVar = [
        *_fields(
            c_void_p,
            """images augmentation parameters gradients running average
                              average_running first second decay""",
        ),
        *_fields(c_int64, "parameter_count running_count optimizer steps"),
        *_fields(c_double, "momentum smoothing"),
    ]


class Step(ctypes.Structure):
    """One step of an epoch."""

    _fields_: ClassVar = [
        *_fields(c_int64, "images"),
        *_fields(c_double, "rate towards"),
        *_fields(
            c_uint64,
            "dropout_stream affine_stream brightness_stream contrast_stream erasing_stream",
        ),
    ]


class Kind(IntEnum):
    """What an op does."""

    CONV = 0
    POINTWISE = 1
    MAX_POOL = 2
    AVERAGE_POOL = 3
    GLOBAL_POOL = 4
    GATE = 5
    SQUEEZE = 6
    RESIZE = 7
    ADD = 8
    PRELU = 9
    MEASURE = 10
    GROUP_NORM = 11
    CONCAT = 12
    MOVE = 13


class Function(IntEnum):
    """An activation function."""

    IDENTITY = 0
    RELU = 1
    GELU = 2
    SILU = 3
    HARDSWISH = 4
    RELU6 = 5
    LEAKYRELU = 6
    TANH = 7
    SIGMOID = 8
    HARDSIGMOID = 9


class Border(IntEnum):
    """What lies around an image that is padded."""

    ZEROS = 0
    REFLECT = 1
    REPLICATE = 2


class DropMode(IntEnum):
    """What dropout drops."""

    NO_DROP = 0
    PER_ELEMENT = 1
    PER_CHANNEL = 2


class Gradient(IntEnum):
    """Where a gradient lies if it is in no shared buffer: in a block of its own, or nowhere."""

    NO_GRADIENT = -2
    OWN_BLOCK = -1


class Offset(IntEnum):
    """What stands for a parameter or an op that is not there."""

    ABSENT = -1


class Optimizer(IntEnum):
    """An optimizer."""

    SGD = 0
    ADAM = 1
    ADAMW = 2


class Status(IntEnum):
    """How a call into the library ends."""

    DONE = 0
    STOPPED = 1
    NO_SUCH_IMAGE = 2
    NO_SUCH_CLASS = 3


# By the names of activations in designs.
FUNCTIONS = {name.lower(): function for name, function in Function.__members__.items()}
BORDERS = {name.lower(): border for name, border in Border.__members__.items()}
STRUCTS: tuple[type[ctypes.Structure], ...] = (Value, Op, Images, Augmentation, Training, Step)
CONSTANTS: tuple[type[IntEnum], ...] = (
    Kind,
    Function,
    Border,
    DropMode,
    Gradient,
    Offset,
    Optimizer,
    Status,
)
TYPES = {c_int64: "int64", c_uint64: "uint64", c_double: "double", c_void_p: "pointer"}


class Entry(ctypes.Structure):
    """A line of the library's table: a field with its offset, or a constant with its value."""

    _fields_: ClassVar = [*_fields(ctypes.c_char_p, "name type"), *_fields(c_int64, "size number")]


def entries() -> Iterator[tuple[str, str, int, int]]:
    """What the library's table must be: name, type, size and number of each field and constant."""
    for struct in STRUCTS:
        for name, kind in struct._fields_:  # type: ignore[misc]
            yield (
                f"{struct.__name__}.{name}",
                TYPES[kind],
                ctypes.sizeof(kind),
                getattr(struct, name).offset,
            )
    for constants in CONSTANTS:
        for constant in constants:
            yield constant.name, "constant", 0, constant.value
