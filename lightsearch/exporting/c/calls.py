"""The call of a C function for each instruction of a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from lightsearch.engines.engine import State
from lightsearch.exporting.c.constants import Constants, format_float, name_array
from lightsearch.exporting.c.kernels import TAKEN
from lightsearch.exporting.c.maps import list_border, list_nearest
from lightsearch.exporting.c.program import (
    AddShortcut,
    Buffer,
    Copy,
    Instruction,
    Join,
    Move,
    Multiply,
    ScaleChannels,
)
from lightsearch.exporting.c.quantising import Integers
from lightsearch.network.operations import (
    Activation,
    AdaptivePool,
    Border,
    Conv2d,
    Dense,
    Extend,
    GlobalPool,
    GroupNorm,
    Pool,
    PRelu,
    ShuffleChannels,
    Slice,
)
from lightsearch.network.windows import Slide, Slides, list_windows

_PIXEL: Slides = (Slide(1, 1, 0), Slide(1, 1, 0))


def call_float(one: Instruction, weights: State, constants: Constants) -> str:
    """Return the call of an instruction in float32, and add its weights to the constants."""
    if isinstance(one.op, Copy | Slice | Extend | ShuffleChannels | Border):
        return _call_move(one, one.op, "0.0f", constants)
    head, sizes = _head(one, constants)
    arguments = [*sizes, _place(one.source), _place(one.target)]
    if isinstance(one.op, Activation) and one.op.name == "leakyrelu":
        arguments.append(format_float(one.op.slope))
    elif isinstance(one.op, Conv2d | Dense | ScaleChannels | GroupNorm | PRelu):
        for name in ("weight",) if isinstance(one.op, PRelu) else ("weight", "bias"):
            key = f"{one.weights}{name}"
            has_it = key in weights
            arguments.append(
                constants.add_array(name_array(key), "float", weights[key]) if has_it else "0"
            )
    elif isinstance(one.op, AdaptivePool):
        arguments += _parts(one, one.op, constants)
    elif isinstance(one.op, Multiply):
        arguments.append(_place(one.second))
    elif isinstance(one.op, Join):
        arguments = [*sizes, _place(one.source), _place(one.second), _place(one.target)]
    elif isinstance(one.op, AddShortcut):
        arguments = [*sizes, _place(one.target), _place(one.second), *_maps(one, constants)]
        if one.op.project is not None:
            key = f"{one.weights}weight"
            arguments.append(constants.add_array(name_array(key), "float", weights[key]))
    return _format_call(head, arguments)


def call_int8(one: Instruction, integers: Integers, constants: Constants) -> str:
    """Return the call of an instruction in int8, and add its integers to the constants."""
    if isinstance(one.op, Copy | Slice | Extend | ShuffleChannels | Border):
        return _call_move(one, one.op, str(integers.source.zero), constants)
    head, sizes = _head(one, constants)
    arguments = [*sizes, _place(one.source), _place(one.target)]
    zeros = [str(integers.source.zero), str(integers.target.zero)]
    scalars = [str(int(n)) for n in (*integers.multipliers[:1], *integers.shifts[:1])]
    name = name_array(one.weights)
    if isinstance(one.op, Conv2d | Dense | ScaleChannels):
        arguments += [
            constants.add_array(f"{name}weight", "int8_t", integers.kernel),
            constants.add_array(f"{name}bias", "int32_t", integers.bias)
            if integers.bias.numel()
            else "0",
        ]
    if isinstance(one.op, AdaptivePool):
        arguments += _parts(one, one.op, constants)
        name = "part_"
    scales_parts = isinstance(one.op, AdaptivePool) and one.op.by == "average"
    if isinstance(one.op, Conv2d | Dense | ScaleChannels | PRelu) or scales_parts:
        arguments += [
            constants.add_array(f"{name}multipliers", "int32_t", integers.multipliers),
            constants.add_array(f"{name}shifts", "uint8_t", integers.shifts),
            *zeros,
        ]
    elif isinstance(one.op, Join):
        arguments = [*sizes, *_join(one, integers)]
    elif isinstance(one.op, Activation):
        head = "look_up"
        arguments.append(constants.add_array(f"{one.op.name}_table", "int8_t", integers.table))
    elif isinstance(one.op, Multiply):
        arguments += [_place(one.second), *scalars, *zeros]
    elif isinstance(one.op, AddShortcut):
        arguments = [*sizes, *_add(one, one.op, integers, constants)]
    elif integers.multipliers.numel():
        arguments += [*scalars, *zeros]
    return _format_call(head, arguments)


def _join(one: Instruction, integers: Integers) -> list[str]:
    """Return the arguments after the sizes for the channels of two images in int8."""
    assert integers.second is not None
    arguments = [_place(one.source), _place(one.second), _place(one.target)]
    for part, scale in enumerate((integers.source, integers.second)):
        multiplier, shift = integers.multipliers[part], integers.shifts[part]
        arguments += [str(int(multiplier)), str(int(shift)), str(scale.zero)]
    return [*arguments, str(integers.target.zero)]


def _add(one: Instruction, op: AddShortcut, integers: Integers, constants: Constants) -> list[str]:
    """Return the arguments after the sizes for a sum and its shortcut in int8."""
    assert integers.second is not None and integers.second_multipliers is not None
    arguments = [_place(one.target), _place(one.second), *_maps(one, constants)]
    multipliers, others = integers.second_multipliers, []
    if op.project is None:
        others = [str(int(multipliers[0]))]
    else:
        name = name_array(one.weights)
        arguments.append(constants.add_array(f"{name}weight", "int8_t", integers.kernel))
        arguments.append(constants.add_array(f"{name}multipliers", "int32_t", multipliers))
    return [
        *arguments,
        str(int(integers.multipliers[0])),
        *others,
        str(int(integers.shifts[0])),
        *(str(scale.zero) for scale in (integers.source, integers.second, integers.target)),
    ]


def _format_call(head: str, arguments: Sequence[str]) -> str:
    return f"{head}({', '.join(arguments)});"


def _call_move(one: Instruction, op: Move, zero: str, constants: Constants) -> str:
    """Return the call of an operation that computes nothing. `zero` is what fills new pixels."""
    (channels, height, width), after = one.source.shape, one.target.shape
    pixels, target = height * width, _place(one.target)
    if isinstance(op, Slice):
        place = _place(replace(one.source, offset=one.source.offset + op.start * pixels))
        return _format_call("copy", [str(one.target.size), place, target])
    places = [_place(one.source), target]
    if isinstance(op, Extend):
        sizes = [op.before * pixels, one.source.size, op.after * pixels]
        return _format_call("widen", [*map(str, sizes), *places, zero])
    if isinstance(op, ShuffleChannels):
        return _format_call("shuffle", [*map(str, (channels, pixels, op.groups)), *places])
    if isinstance(op, Border):
        window = _window(one.source, one.target, constants)
        rows = list_border(op.top, height, op.bottom, op.mode)
        columns = list_border(op.left, width, op.right, op.mode)
        maps = _add_maps("border", rows, columns, constants)
        assert (len(rows), len(columns)) == after[1:]
        return _format_call("pad", [window, *places, *maps, zero])
    return _format_call("copy", [str(one.source.size), *places])


def _place(buffer: Buffer | None) -> str:
    assert buffer is not None
    return f"memory + {buffer.offset}" if buffer.offset else "memory"


def _head(one: Instruction, constants: Constants) -> tuple[str, list[str]]:
    """Return the name of the function, and its arguments that are sizes."""
    op, (channels, height, width) = one.op, one.source.shape
    pixels = [str(channels), str(height * width)]
    if isinstance(op, Conv2d):
        window = _window(one.source, one.target, constants, op.slides, op.groups)
        return "convolve", [window]
    if isinstance(op, Dense):
        return "connect", [str(op.inputs), str(op.outputs)]
    if isinstance(op, ScaleChannels):
        return "scale_channels", pixels
    if isinstance(op, Pool):
        window = _window(one.source, one.target, constants, op.slides)
        return ("pool_max" if op.by == "max" else "pool_average"), [window]
    if isinstance(op, AdaptivePool):
        window = _window(one.source, one.target, constants)
        return ("pool_parts_max" if op.by == "max" else "pool_parts_average"), [window]
    if isinstance(op, GlobalPool):
        return "average", pixels
    if isinstance(op, Activation):
        return TAKEN.get(op.name, op.name), [str(one.source.size)]
    if isinstance(op, PRelu):
        return "prelu", pixels
    if isinstance(op, GroupNorm):
        return "normalise", [*pixels, str(op.groups)]
    if isinstance(op, Multiply):
        return "multiply", pixels
    assert one.second is not None
    if isinstance(op, Join):
        return "join", [str(one.source.size), str(one.second.size)]
    assert isinstance(op, AddShortcut)
    if op.size is None and op.project is None:
        return "add", [str(one.source.size)]
    window = _window(one.second, one.target, constants)
    return ("add_resized" if op.project is None else "add_projected"), [window]


def _window(
    source: Buffer,
    target: Buffer,
    constants: Constants,
    slides: Slides = _PIXEL,
    groups: int = 1,
) -> str:
    return "&" + constants.add_window((*source.shape, *target.shape, groups), slides)


def _parts(one: Instruction, op: AdaptivePool, constants: Constants) -> list[str]:
    """Return the arrays of where each part begins and ends."""
    before = one.source.shape[1:]
    rows, columns = (
        list_windows(*sides) for sides in zip(before, (op.height, op.width), strict=True)
    )
    return _add_maps("part", [*chain(*rows)], [*chain(*columns)], constants)


def _maps(one: Instruction, constants: Constants) -> list[str]:
    """Return the arrays of the nearest rows and columns, none for an addition as it is."""
    assert isinstance(one.op, AddShortcut) and one.second is not None
    if one.op.size is None:
        return ["0", "0"] if one.op.project is not None else []
    before, after = one.second.shape[1:], one.op.size
    rows, columns = (list_nearest(*sides) for sides in zip(before, after, strict=True))
    return _add_maps("nearest", rows, columns, constants)


def _add_maps(name: str, rows: list[int], columns: list[int], constants: Constants) -> list[str]:
    return [
        constants.add_array(f"{name}_rows", "short", rows),
        constants.add_array(f"{name}_columns", "short", columns),
    ]
