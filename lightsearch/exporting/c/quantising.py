"""Quantise a program to int8: the integers of each instruction, from ranges of its values.

A real value is `scale * (integer - zero)`. Weights have a scale a channel and no zero, activations
a scale and a zero a buffer. This is the usual scheme (Jacob et al. 2018): sums in 32 bits, then
one multiplication by an integer over a power of two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lightsearch.engines.engine import State
from lightsearch.errors import ExportError
from lightsearch.exporting.c.float_run import activate, run_float
from lightsearch.exporting.c.limits import check_int8
from lightsearch.exporting.c.program import (
    AddShortcut,
    Copy,
    Instruction,
    Join,
    Multiply,
    Program,
    ScaleChannels,
)
from lightsearch.network.operations import (
    Activation,
    AdaptivePool,
    Border,
    Conv2d,
    Dense,
    Extend,
    GlobalPool,
    Pool,
    PRelu,
    ShuffleChannels,
    Slice,
)
from lightsearch.network.windows import list_windows
from lightsearch.shapes import Shape

LEAST, MOST = -128, 127
_SUM = 2**31 - 1  # the largest that an int32 holds
_BIAS = 2**29  # the largest of a bias, which leaves room for the sum
_FACTOR = 1 / 255  # the scale of a gate's factors, from 0 to 1


@dataclass(frozen=True, slots=True)
class Scale:
    """A real value is `scale * (integer - zero)`."""

    scale: float
    zero: int

    def quantise(self, values: Tensor) -> Tensor:
        """Return real values as int8, rounded, halves to even."""
        rounded = torch.round(values.double() / self.scale) + self.zero
        return rounded.clamp(LEAST, MOST).to(torch.int8)

    def restore(self, integers: Tensor) -> Tensor:
        """Return the real values, in float64."""
        return self.scale * (integers.double() - self.zero)


@dataclass(frozen=True, slots=True, eq=False)
class Integers:
    """The integers of one instruction. Those that its operation does not have are empty."""

    source: Scale
    target: Scale
    kernel: Tensor
    bias: Tensor
    multipliers: Tensor
    shifts: Tensor
    table: Tensor
    second: Scale | None = None
    second_multipliers: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class QuantisedProgram:
    """A program in int8. `pixels` has the input's integer for each channel and pixel value."""

    program: Program
    integers: tuple[Integers, ...]
    pixels: Tensor
    output: Scale


def join_relus(program: Program) -> Program:
    """Return the program without each ReLU after an operation that rounds to its output's range.

    The range then begins at 0 (and that of a ReLU6 ends at 6 or below), so that clamping to int8
    is the ReLU.
    """
    kept: list[Instruction] = []
    rounds = (Conv2d, Dense, ScaleChannels, AddShortcut, Multiply, Join)
    for one in program.instructions:
        is_relu = isinstance(one.op, Activation) and one.op.name in ("relu", "relu6")
        if not (is_relu and kept and _ends_at(kept[-1], one) and isinstance(kept[-1].op, rounds)):
            kept.append(one)
    return replace(program, instructions=tuple(kept))


def _ends_at(before: Instruction, one: Instruction) -> bool:
    return before.target == one.source == one.target


def quantise(
    program: Program, weights: State, images: Tensor, mean: Tensor, std: Tensor
) -> QuantisedProgram:
    """Return the program in int8, with the ranges that its values have on normalised images.

    Raises `DesignError` for a layer that needs floating point, and `ExportError` for one whose
    sums do not fit 32 bits.
    """
    check_int8(program)
    ranges: list[tuple[float, float]] = []
    run_float(
        program,
        weights,
        images,
        lambda _, out: ranges.append((float(out.min()), float(out.max()))),
    )
    short = join_relus(program)
    joined = _join_ranges(program, short, ranges)
    lowest, highest = float((-mean / std).min()), float(((1 - mean) / std).max())
    scales = {program.input.offset: scale_of(lowest, highest)}
    integers = []
    for one, found in zip(short.instructions, joined, strict=True):
        made = _quantise_one(one, weights, scales, found)
        scales[one.target.offset] = made.target
        integers.append(made)
    levels = (torch.arange(256).double() / 255 - mean.double()[:, None]) / std.double()[:, None]
    pixels = scale_of(lowest, highest).quantise(levels)
    return QuantisedProgram(short, tuple(integers), pixels, scales[program.output.offset])


def _join_ranges(
    program: Program, short: Program, ranges: list[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Return the range of each instruction that is left: after its ReLU, if that was joined."""
    joined: list[tuple[float, float]] = []
    rest = list(short.instructions)
    for one, found in zip(program.instructions, ranges, strict=True):
        if rest and rest[0] is one:
            joined.append(found)
            rest.pop(0)
        else:
            joined[-1] = found
    return joined


def scale_of(lowest: float, highest: float) -> Scale:
    """Return the scale of a range, which always includes 0."""
    lowest, highest = min(lowest, 0.0), max(highest, 0.0)
    scale = (highest - lowest) / (MOST - LEAST)
    if not (0 < scale < math.inf):
        return Scale(1.0, 0)
    return Scale(scale, max(LEAST, min(MOST, round(LEAST - lowest / scale))))


def _quantise_one(
    one: Instruction, weights: State, scales: dict[int, Scale], found: tuple[float, float]
) -> Integers:
    op, source = one.op, scales[one.source.offset]
    target = scale_of(*found)
    if isinstance(op, Conv2d | Dense | ScaleChannels):
        return _quantise_weights(one, weights, source, target)
    if isinstance(op, Copy | Slice | Extend | ShuffleChannels | Border):
        return _integers(source, source)
    if isinstance(op, Pool | AdaptivePool) and op.by == "max":
        return _integers(source, source)
    if isinstance(op, Pool):
        pixels = math.prod(side.kernel for side in op.slides)
        return _integers(source, target, [source.scale / pixels / target.scale])
    if isinstance(op, AdaptivePool):
        parts = count_pixels(op, one.source.shape).flatten().tolist()
        return _integers(source, target, [source.scale / n / target.scale for n in parts])
    if isinstance(op, GlobalPool):
        pixels = one.source.shape[1] * one.source.shape[2]
        return _integers(source, target, [source.scale / pixels / target.scale])
    if isinstance(op, Activation):
        if op.name == "sigmoid":
            target = Scale(_FACTOR, LEAST)
        real = source.restore(torch.arange(LEAST, MOST + 1))
        table = target.quantise(activate(op, real))
        return replace(_integers(source, target), table=table)
    if isinstance(op, PRelu):
        slopes = [1.0, *weights[f"{one.weights}weight"].tolist()]
        return _integers(source, target, [slope * source.scale / target.scale for slope in slopes])
    assert one.second is not None
    second = scales[one.second.offset]
    if isinstance(op, Join):
        ratios = [part.scale / target.scale for part in (source, second)]
        return replace(_integers(source, target, ratios), second=second)
    if isinstance(op, Multiply):
        ratio = source.scale * second.scale / target.scale
        return replace(_integers(source, target, [ratio]), second=second)
    assert isinstance(op, AddShortcut)
    return _quantise_addition(one, op, weights, (source, second, target))


def count_pixels(op: AdaptivePool, shape: Shape) -> Tensor:
    """Return how many pixels each part has, (height, width), of an image of `shape`."""
    rows, columns = (
        torch.tensor([end - begin for begin, end in list_windows(*sides)])
        for sides in zip(shape[1:], (op.height, op.width), strict=True)
    )
    return rows[:, None] * columns


def _quantise_weights(one: Instruction, weights: State, source: Scale, target: Scale) -> Integers:
    kernel = weights[f"{one.weights}weight"].double().flatten(1)
    bias = weights.get(f"{one.weights}bias")
    real = torch.zeros(len(kernel)).double() if bias is None else bias.double()
    sizes = torch.maximum(kernel.abs().amax(1) / MOST, real.abs() / source.scale / _BIAS)
    sizes[sizes == 0] = 1.0
    integers = torch.round(kernel / sizes[:, None]).clamp(-MOST, MOST)
    offsets = torch.round(real / sizes / source.scale)
    largest = float((integers.abs().sum(1) * 255 + offsets.abs()).max())
    if largest > _SUM:
        raise ExportError(
            f"the sums of a layer must fit 32 bits in int8, but {one.layer} at {one.place} "
            f"may reach {largest:.0f}: export it in float32"
        )
    made = _integers(source, target, (sizes * source.scale / target.scale).tolist())
    offsets = offsets.long() if bias is not None else made.bias
    return replace(made, kernel=integers.to(torch.int8), bias=offsets)


def _quantise_addition(
    one: Instruction, op: AddShortcut, weights: State, scales: tuple[Scale, Scale, Scale]
) -> Integers:
    """Return the integers of an addition, whose two terms have one shift, so that the sum is
    rounded once."""
    source, second, target = scales
    kernel = torch.zeros(0, 0).double()
    sizes = torch.ones(1).double()
    if op.project is not None:
        kernel = weights[f"{one.weights}weight"].double().flatten(1)
        sizes = kernel.abs().amax(1) / MOST
        sizes[sizes == 0] = 1.0
        kernel = torch.round(kernel / sizes[:, None]).clamp(-MOST, MOST)
    ratios = [source.scale / target.scale, *(sizes * second.scale / target.scale).tolist()]
    _, shift = split_ratio(max(ratios))
    multipliers = torch.tensor([round(ratio * 2.0**shift) for ratio in ratios])
    made = _integers(source, target)
    return replace(
        made,
        kernel=kernel.to(torch.int8),
        multipliers=multipliers[:1],
        shifts=torch.tensor([shift]),
        second=second,
        second_multipliers=multipliers[1:],
    )


def _integers(source: Scale, target: Scale, ratios: list[float] | None = None) -> Integers:
    pairs = [_split_signed(ratio) for ratio in ratios or []]
    empty = torch.zeros(0, dtype=torch.int8)
    multipliers = torch.tensor([pair[0] for pair in pairs], dtype=torch.int64)
    shifts = torch.tensor([pair[1] for pair in pairs], dtype=torch.int64)
    return Integers(source, target, empty, empty, multipliers, shifts, empty)


def _split_signed(ratio: float) -> tuple[int, int]:
    """Return a multiplier and a shift for any ratio: a slope may be 0 or less."""
    if ratio == 0:
        return 0, 1
    multiplier, shift = split_ratio(abs(ratio))
    return (multiplier if ratio > 0 else -multiplier), shift


def split_ratio(ratio: float) -> tuple[int, int]:
    """Return a multiplier below 2**31 and a shift from 1 to 62, for a ratio above 0.

    >>> from lightsearch.exporting.c.quantising import split_ratio
    >>> split_ratio(0.75), 0.75 * 2**31 == split_ratio(0.75)[0]
    ((1610612736, 31), True)
    """
    _, exponent = math.frexp(ratio)
    shift = min(31 - exponent, 62)
    if shift < 1:
        raise ExportError(f"the scales of int8 must be at most 2**30 apart, but got {ratio:.3g}")
    multiplier = round(ratio * 2.0**shift)
    return (multiplier // 2, shift - 1) if multiplier == 2**31 else (multiplier, shift)
