"""The call of a C function for each instruction of a program."""

from __future__ import annotations

from collections.abc import Sequence

from lightsearch.engines.engine import State
from lightsearch.exporting.c.constants import Constants, name_array
from lightsearch.exporting.c.program import (
    AddShortcut,
    Buffer,
    Copy,
    Instruction,
    Multiply,
    ScaleChannels,
)
from lightsearch.exporting.c.quantising import Integers
from lightsearch.network.operations import Activation, Conv2d, Dense, GlobalPool, Pool
from lightsearch.shapes import nearest


def call_float(one: Instruction, weights: State, constants: Constants) -> str:
    """Return the call of an instruction in float32, and add its weights to the constants."""
    head, sizes = _head(one, constants)
    arguments = [*sizes, _place(one.source), _place(one.target)]
    if isinstance(one.op, Conv2d | Dense | ScaleChannels):
        for name in ("weight", "bias"):
            key = f"{one.weights}{name}"
            has_it = key in weights
            arguments.append(
                constants.add_array(name_array(key), "float", weights[key]) if has_it else "0"
            )
    elif isinstance(one.op, Multiply):
        arguments.append(_place(one.second))
    elif isinstance(one.op, AddShortcut):
        arguments = [*sizes, _place(one.target), _place(one.second), *_maps(one, constants)]
        if one.op.project is not None:
            key = f"{one.weights}weight"
            arguments.append(constants.add_array(name_array(key), "float", weights[key]))
    return _format_call(head, arguments)


def call_int8(one: Instruction, integers: Integers, constants: Constants) -> str:
    """Return the call of an instruction in int8, and add its integers to the constants."""
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
            constants.add_array(f"{name}multipliers", "int32_t", integers.multipliers),
            constants.add_array(f"{name}shifts", "uint8_t", integers.shifts),
            *zeros,
        ]
    elif isinstance(one.op, Activation):
        head = "look_up"
        arguments.append(constants.add_array(f"{one.op.name}_table", "int8_t", integers.table))
    elif isinstance(one.op, Multiply):
        arguments += [_place(one.second), *scalars, *zeros]
    elif isinstance(one.op, AddShortcut):
        assert integers.second is not None and integers.second_multipliers is not None
        arguments = [*sizes, _place(one.target), _place(one.second), *_maps(one, constants)]
        others = [str(int(integers.second_multipliers[0]))]
        if one.op.project is not None:
            arguments.append(constants.add_array(f"{name}weight", "int8_t", integers.kernel))
            multipliers = integers.second_multipliers
            arguments.append(constants.add_array(f"{name}multipliers", "int32_t", multipliers))
            others = []
        zeros.insert(1, str(integers.second.zero))
        arguments += [scalars[0], *others, scalars[1], *zeros]
    elif integers.multipliers.numel():
        arguments += [*scalars, *zeros]
    return _format_call(head, arguments)


def _format_call(head: str, arguments: Sequence[str]) -> str:
    return f"{head}({', '.join(arguments)});"


def _place(buffer: Buffer | None) -> str:
    assert buffer is not None
    return f"memory + {buffer.offset}" if buffer.offset else "memory"


def _head(one: Instruction, constants: Constants) -> tuple[str, list[str]]:
    """Return the name of the function, and its arguments that are sizes."""
    op, (channels, height, width) = one.op, one.source.shape
    pixels = [str(channels), str(height * width)]
    if isinstance(op, Conv2d):
        numbers = (op.kernel, op.stride, op.padding, op.groups, op.dilation)
        return "convolve", [f"&{_window(one.source, one.target, numbers, constants)}"]
    if isinstance(op, Dense):
        return "connect", [str(op.inputs), str(op.outputs)]
    if isinstance(op, ScaleChannels):
        return "scale_channels", pixels
    if isinstance(op, Pool):
        numbers = (op.kernel, op.stride, op.padding, 1, 1)
        window = f"&{_window(one.source, one.target, numbers, constants)}"
        return ("pool_max" if op.by == "max" else "pool_average"), [window]
    if isinstance(op, GlobalPool):
        return "average", pixels
    if isinstance(op, Activation):
        return op.name, [str(one.source.size)]
    if isinstance(op, Multiply):
        return "multiply", pixels
    if isinstance(op, Copy):
        return "copy", [str(one.source.size)]
    assert one.second is not None
    if op.size is None and op.project is None:
        return "add", [str(one.source.size)]
    window = f"&{_window(one.second, one.target, (1, 1, 0, 1, 1), constants)}"
    return ("add_resized" if op.project is None else "add_projected"), [window]


def _window(source: Buffer, target: Buffer, numbers: tuple[int, ...], constants: Constants) -> str:
    return constants.add_window((*source.shape, *target.shape, *numbers))


def _maps(one: Instruction, constants: Constants) -> list[str]:
    """Return the arrays of the nearest rows and columns, none for an addition as it is."""
    assert isinstance(one.op, AddShortcut) and one.second is not None
    if one.op.size is None:
        return ["0", "0"] if one.op.project is not None else []
    names = []
    for axis, name in enumerate(("rows", "columns")):
        before, after = one.second.shape[1 + axis], one.op.size[axis]
        places = [nearest(index, before, after) for index in range(after)]
        names.append(constants.add_array(f"nearest_{name}", "short", places))
    return names
