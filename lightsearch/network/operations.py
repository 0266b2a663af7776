"""The primitive operations that make up layers, as values. This file does not need torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

from lightsearch.design.parts import Layer
from lightsearch.network.brief import Brief
from lightsearch.network.windows import Slide, Slides, Spans, make_spans
from lightsearch.shapes import Shape, Sides, join_sides


@dataclass(frozen=True, slots=True, repr=False)
class Conv2d(Brief):
    """Its window is square, or `across` is how it slides along the width."""

    inputs: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    groups: int
    bias: bool
    dilation: int = 1
    across: Slide | None = None

    @property
    def slides(self) -> Slides:
        """How its window slides along the height and along the width."""
        height = Slide(self.kernel, self.stride, self.padding, self.dilation)
        return height, self.across or height


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer on the flattened input."""

    inputs: int
    outputs: int
    bias: bool


@dataclass(frozen=True, slots=True, repr=False)
class BatchNorm(Brief):
    """`affine` is "both" for a gain and a shift a channel, "shift", or "none"."""

    channels: int
    affine: str = "both"


@dataclass(frozen=True, slots=True)
class GroupNorm:
    """Normalises each image by groups of its channels. One group is layer norm."""

    channels: int
    groups: int
    affine: str


@dataclass(frozen=True, slots=True, repr=False)
class Activation(Brief):
    """`slope` is that of a leaky ReLU below zero."""

    name: str
    slope: float = 0.01


@dataclass(frozen=True, slots=True)
class PRelu:
    """A leaky ReLU with a learned slope a channel."""

    channels: int


@dataclass(frozen=True, slots=True)
class Drop:
    rate: float
    per: str


@dataclass(frozen=True, slots=True, repr=False)
class Pool(Brief):
    """Its window is square, or `across` is how it slides along the width."""

    by: str  # "max" or "average"
    kernel: int
    stride: int
    padding: int
    across: Slide | None = None

    @property
    def slides(self) -> Slides:
        """How its window slides along the height and along the width."""
        height = Slide(self.kernel, self.stride, self.padding)
        return height, self.across or height


@dataclass(frozen=True, slots=True)
class GlobalPool:
    pass


@dataclass(frozen=True, slots=True)
class AdaptivePool:
    """Windows that divide each side of the input into `height` and `width` parts, about alike.

    Those of `list_windows`: they may differ by a pixel, and overlap by one.
    """

    by: str  # "max" or "average"
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class ChannelGate:
    channels: int


@dataclass(frozen=True, slots=True)
class Squeeze:
    channels: int
    hidden: int


@dataclass(frozen=True, slots=True)
class Add:
    """The output of `body` plus its input.

    If `size` is given, the input is resized to it (nearest neighbour). If `project` is given, the
    input then passes through it.
    """

    body: tuple[Step, ...]
    size: tuple[int, int] | None
    project: Conv2d | PerPass | None


@dataclass(frozen=True, slots=True)
class Branches:
    """Two bodies on the same input: their sum (`by="add"`), or the channels of both."""

    by: str
    first: tuple[Step, ...]
    second: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """The channels from `start` to before `stop`."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Extend:
    """Channels of zeros `before` and `after` those of the input."""

    before: int
    after: int


@dataclass(frozen=True, slots=True)
class ShuffleChannels:
    groups: int


@dataclass(frozen=True, slots=True)
class Border:
    """Pixels around the image; `mode` is "zeros", "reflect", "replicate" or "circular"."""

    top: int
    bottom: int
    left: int
    right: int
    mode: str


@dataclass(frozen=True, slots=True)
class Iterate:
    """`body` applied `passes` times, each time to the output of the time before."""

    body: tuple[Step, ...]
    passes: int


@dataclass(frozen=True, slots=True)
class PerPass:
    """An operation in a loop of which each of `passes` passes has one of its own.

    It may be in loops inside of that one, which share it and apply it `each` times a pass. Turns
    are counted over all these loops.
    """

    op: Op
    passes: int
    each: int = 1

    @property
    def core(self) -> Op:
        """The operation itself, which passes of several loops may have of their own."""
        return self.op.core if isinstance(self.op, PerPass) else self.op

    def index(self, turn: int) -> int:
        """Return whose turn it is."""
        return turn // self.each % self.passes


@dataclass(frozen=True, slots=True)
class Custom:
    """A layer of a user's own kind. The registered function makes its module."""

    layer: Layer
    shape: Shape


Ops: TypeAlias = "tuple[tuple[str, Op], ...]"
Leaf: TypeAlias = (
    Conv2d
    | Dense
    | BatchNorm
    | GroupNorm
    | Activation
    | PRelu
    | Drop
    | Pool
    | GlobalPool
    | AdaptivePool
    | ChannelGate
    | Squeeze
    | Slice
    | Extend
    | ShuffleChannels
    | Border
)
"""Those that hold no others."""

Op: TypeAlias = Leaf | Add | Branches | Iterate | PerPass | Custom


@dataclass(frozen=True, slots=True)
class Local:
    """The cost of one layer on an input of a known shape, as a user's own kind states it.

    - `shape`: its output, (channels, height, width).
    - `params`: its parameters.
    - `macs`: one for each multiplication of a convolution or linear layer.
    - `extent`, `stride`: its window on its input, in pixels; two numbers are (height, width).
    - `whole`: whether it also depends on the whole image, as a gate does.
    - `peak`: the largest number of values alive at once while it runs, input and output included;
      0 stands for input plus output.
    - `padding`: how many pixels before its input its first window begins.
    - `kept`: `peak` if the input must stay unchanged after the layer; 0 stands for `peak`.
    """

    shape: Shape
    params: int = 0
    macs: int = 0
    extent: Sides = 1
    stride: Sides = 1
    whole: bool = False
    peak: int = 0
    padding: Sides = 0
    kept: int = 0

    @property
    def spans(self) -> Spans:
        """Its window along the height and along the width."""
        return make_spans(self.extent, self.stride, self.padding)

    def with_spans(self, spans: Spans) -> Local:
        """Return the same cost with another window."""
        extent, stride, padding = (join_sides(*pair) for pair in zip(*spans, strict=True))
        return replace(self, extent=extent, stride=stride, padding=padding)


@dataclass(frozen=True, slots=True)
class Step:
    """A layer on its input's shape, `source`: its named operations and their total cost."""

    layer: Layer = field(compare=False)
    ops: Ops
    source: Shape
    shape: Shape
    params: int
    macs: int
    spans: Spans
    whole: bool
    peak: int
    kept: int


def list_bodies(op: Op) -> tuple[tuple[str, tuple[Step, ...]], ...]:
    """Return the layers inside of an operation, by the name of the body in which they are."""
    if isinstance(op, Branches):
        return ("first", op.first), ("second", op.second)
    return (("body", op.body),) if isinstance(op, Add | Iterate) else ()
