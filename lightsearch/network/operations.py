"""The primitive operations that layers are made of, as values. No torch in here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from lightsearch.design.parts import Layer
from lightsearch.shapes import Shape


@dataclass(frozen=True, slots=True)
class Conv2d:
    inputs: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    groups: int
    bias: bool


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer on the flattened input."""

    inputs: int
    outputs: int
    bias: bool


@dataclass(frozen=True, slots=True)
class BatchNorm:
    channels: int


@dataclass(frozen=True, slots=True)
class Activation:
    name: str


@dataclass(frozen=True, slots=True)
class Drop:
    rate: float
    per: str


@dataclass(frozen=True, slots=True)
class Pool:
    by: str  # "max" or "average"
    kernel: int
    stride: int
    padding: int


@dataclass(frozen=True, slots=True)
class GlobalPool:
    pass


@dataclass(frozen=True, slots=True)
class ChannelGate:
    channels: int


@dataclass(frozen=True, slots=True)
class Squeeze:
    channels: int
    hidden: int


@dataclass(frozen=True, slots=True)
class Add:
    """`body` plus its input, resized (nearest neighbour) to `size` and projected where given."""

    body: tuple[Step, ...]
    size: tuple[int, int] | None
    project: Conv2d | None


@dataclass(frozen=True, slots=True)
class Custom:
    """A layer of a kind that a user registered: its module is made by the kind itself."""

    layer: Layer
    shape: Shape


Ops: TypeAlias = "tuple[tuple[str, Op], ...]"
Op: TypeAlias = (
    Conv2d | Dense | BatchNorm | Activation | Drop | Pool | GlobalPool | ChannelGate | Squeeze
    | Add | Custom
)


@dataclass(frozen=True, slots=True)
class Local:
    """What one layer does to an input of a known shape, as a user's own kind states it.

    `extent` and `stride` are those of its window on its input, in pixels; `whole` says that it
    also depends on the whole image (a gate); `peak` is the largest number of values alive at once
    while it runs, input and output included (0: input plus output); `macs` counts one for each
    multiplication of a convolution or linear layer. `padding` is how far its first window begins
    before its input; `kept` is `peak` where the input must outlive it unchanged (0: `peak`).
    """

    shape: Shape
    params: int = 0
    macs: int = 0
    extent: int = 1
    stride: int = 1
    whole: bool = False
    peak: int = 0
    padding: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """A layer lowered at its place: its operations, by name, and what they cost together."""

    layer: Layer = field(compare=False)
    ops: Ops
    source: Shape
    shape: Shape
    params: int
    macs: int
    extent: int
    stride: int
    whole: bool
    peak: int
    padding: int
    kept: int
