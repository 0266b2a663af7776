"""A network as a list of instructions on buffers at fixed places in one memory. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

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
from lightsearch.shapes import Shape, elements


@dataclass(frozen=True, slots=True)
class Buffer:
    """Values of a shape, which begin `offset` values into the memory."""

    offset: int
    shape: Shape

    @property
    def size(self) -> int:
        """The number of its values."""
        return elements(self.shape)

    @property
    def end(self) -> int:
        """The offset after its last value."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class ScaleChannels:
    """Each channel times a gain, plus a shift: a 1x1 depthwise convolution, in place."""

    channels: int


@dataclass(frozen=True, slots=True)
class Multiply:
    """Each channel times one value of `second`."""


@dataclass(frozen=True, slots=True)
class AddShortcut:
    """`source` plus `second`, which is resized to `size` and projected if these are given."""

    size: tuple[int, int] | None
    project: Conv2d | None


@dataclass(frozen=True, slots=True)
class Join:
    """The channels of `source`, then those of `second`."""


@dataclass(frozen=True, slots=True)
class Copy:
    pass


Move: TypeAlias = Copy | Slice | Extend | ShuffleChannels | Border  # computes nothing
Primitive: TypeAlias = (
    Conv2d
    | Dense
    | ScaleChannels
    | Pool
    | AdaptivePool
    | GlobalPool
    | GroupNorm
    | Activation
    | PRelu
    | Multiply
    | AddShortcut
    | Join
    | Move
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One operation from `source` to `target`, which are the same buffer if it works in place.

    `place` and `layer` are of the design's layer that it belongs to. The names of its weights
    begin with `weights`.
    """

    op: Primitive
    place: str
    layer: str
    source: Buffer
    target: Buffer
    weights: str = ""
    second: Buffer | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """The instructions of a network, and the number of values that its memory has."""

    instructions: tuple[Instruction, ...]
    input: Buffer
    output: Buffer
    memory: int
