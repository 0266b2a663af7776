"""The exact cost of a design, without torch: parameters, MACs, activation memory, receptive field.

- *Parameters*: `sum(p.numel() for p in module.parameters())`.
- *MACs*: one for each multiplication of convolutions and linear layers, for one image.
- *Activation bytes*: the largest number of float32 bytes alive at once for one image at
  inference. A layer's input and output count together, and so does the input of a residual while
  its body runs. Normalisation, activation, dropout and the scaling of a gate work in place. In
  int8 it is a quarter of that: the same values, one byte each.
- *Receptive field*: the unclipped local extent on the input, in pixels. A gate and
  squeeze-and-excitation see the whole image; a flag says so, and the field does not change. If a
  residual's resized input reaches beyond its body's window, the field is the widest over the
  image. If it differs in height and width, it is the smaller one.
- *Jump*: the distance on the input between neighbouring outputs, in pixels; the smaller one too.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lightsearch.checks import check_integer, check_kind, to_count
from lightsearch.design.parts import Design, Seq
from lightsearch.errors import ArgumentError, DesignError, quote
from lightsearch.network.lowering import lower_all
from lightsearch.network.operations import Add, Branches, Iterate, Step, list_bodies
from lightsearch.network.windows import PIXEL, Spans, chain
from lightsearch.notation.reading import read_design
from lightsearch.presentation import Presented, Sheet
from lightsearch.shapes import Shape, check_shape, elements, format_shape

BYTES = 4  # of a float32
_LARGEST = 10**100  # of a cap: a stranger's may be more than a float holds


@dataclass(frozen=True, slots=True)
class Row:
    """A layer's row in the table of a design. `shape` is the layer's output.

    The row of a residual is its addition. Those of the layers in a loop have the parameters and
    MACs of all passes, and the receptive field of the first one. The loop's own row has that of
    the last one, and the number of `passes`.
    """

    place: str
    layer: str
    shape: Shape
    params: int
    macs: int
    activation_bytes: int
    receptive_field: int
    jump: int
    whole_image: bool
    passes: int = 1


@dataclass(frozen=True, slots=True, repr=False)
class Cost(Presented):
    """The totals of a design. `rows` has the figures of each layer."""

    steps: tuple[Step, ...]
    shape: Shape
    params: int
    macs: int
    activation_bytes: int
    receptive_field: int
    jump: int
    whole_image: bool

    @property
    def activation_bytes_int8(self) -> int:
        """The activation bytes in int8: the same values, one byte each."""
        return self.activation_bytes // BYTES

    @property
    def rows(self) -> tuple[Row, ...]:
        """The table of the design: a row for each layer, those in a residual's body included."""
        return tuple(_list_rows(self.steps, "", PIXEL))

    @property
    def spans(self) -> Spans:
        """The window of the whole design: receptive field, jump and padding of each side."""
        return functools.reduce(chain, (step.spans for step in self.steps), PIXEL)

    @property
    def receptive_fields(self) -> tuple[int, int]:
        """The receptive field in height and in width. The smaller one is `receptive_field`.

        >>> cost("conv(8,k=3x1) conv(8,k=5x1)").receptive_fields
        (7, 1)
        """
        height, width = self.spans
        return height.extent, width.extent

    def _sheet(self) -> Sheet:
        size = f"{self.activation_bytes:,} bytes of activations ({self.activation_bytes_int8:,}"
        whole = " and the whole image" if self.whole_image else ""
        return Sheet(
            f"Cost: {self.params:,} parameters, {self.macs:,} MACs, {size} in int8), receptive "
            f"field {self.receptive_field}{whole}, output {format_shape(self.shape)}",
            heads=("place", "layer", "output", "params", "MACs", "field", "jump"),
            rows=tuple(
                (
                    row.place,
                    row.layer,
                    format_shape(row.shape),
                    f"{row.params:,}",
                    f"{row.macs:,}",
                    f"{row.receptive_field}{'+' if row.whole_image else ''}",
                    str(row.jump),
                )
                for row in self.rows
            ),
        )


@dataclass(frozen=True, slots=True, init=False)
class Budget:
    """Inclusive caps on the cost of a design, and the least receptive field. None is no cap.

    `activation_bytes` is for float32. For a network that must run in int8 within N bytes, give
    `activation_bytes_int8` in its place. They are one cap, and either can be read:

    >>> from lightsearch import Budget, cost, parse
    >>> board = Budget(params=8000, activation_bytes_int8=7200)
    >>> board.activation_bytes, board.activation_bytes_int8
    (28800, 7200)
    >>> spent = cost(parse("conv(8) maxpool conv(16) gap linear(10)"), (1, 28, 28))
    >>> spent.activation_bytes_int8, board.exceeded(spent)
    (7840, 'activation_bytes')

    `min_receptive_field` is in pixels of the image. It is of the receptive field as `cost` counts
    it: what a gate sees beyond it does not count.

    >>> Budget(min_receptive_field=45).exceeded(spent), spent.receptive_field
    ('min_receptive_field', 34)
    """

    params: int | None = None
    macs: int | None = None
    activation_bytes: int | None = None
    min_receptive_field: int | None = None

    def __init__(
        self,
        params: int | None = None,
        macs: int | None = None,
        activation_bytes: int | None = None,
        min_receptive_field: int | None = None,
        *,
        activation_bytes_int8: int | None = None,
    ) -> None:
        size = _check_cap("activation_bytes_int8", activation_bytes_int8)
        if size is not None and activation_bytes is not None:
            raise ArgumentError(
                "`budget` must have a cap on activation bytes in float32 or in int8, which are "
                f"one cap, but got activation_bytes={quote(activation_bytes)} and "
                f"activation_bytes_int8={size}"
            )
        size = activation_bytes if size is None else BYTES * size
        caps = (params, macs, size, min_receptive_field)
        for name, value in zip(self.__slots__, caps, strict=True):
            object.__setattr__(self, name, _check_cap(name, value))

    @property
    def activation_bytes_int8(self) -> int | None:
        """The cap on activation bytes for a network in int8: a byte a value."""
        return None if self.activation_bytes is None else self.activation_bytes // BYTES

    def exceeded(self, cost: Cost) -> str | None:
        """Return the name of the first cap that `cost` is beyond, or None."""
        return next(iter(self.list_exceeded(cost)), None)

    def list_exceeded(self, cost: Cost) -> tuple[str, ...]:
        """Return the names of the caps that `cost` is beyond."""
        caps = {name: getattr(self, name) for name in self.__slots__}
        return tuple(
            name
            for name, cap in caps.items()
            if cap is not None
            and (
                cost.receptive_field < cap
                if name == "min_receptive_field"
                else getattr(cost, name) > cap
            )
        )

    def ratios(self, cost: Cost) -> dict[str, float]:
        """Return how much of each cap a cost takes, about: up to 1 is within."""
        caps = {name: getattr(self, name) for name in self.__slots__}
        return {
            name: cap / cost.receptive_field
            if name == "min_receptive_field"
            else getattr(cost, name) / cap
            for name, cap in caps.items()
            if cap is not None
        }


def _check_cap(name: str, given: Any) -> int | None:
    value = to_count(given)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ArgumentError(
            f"`budget.{name}` must be an integer >= 1 or None, but got {name}={quote(value)}"
        )
    if value is not None and value > _LARGEST:
        raise ArgumentError(
            f"`budget.{name}` must be at most 10^100, or None for no cap, but got "
            f"{name}={quote(value)}"
        )
    return value


def cost(design: Design | str, shape: Shape = (1, 28, 28), classes: int | None = None) -> Cost:
    """Return the cost of `design` on one image of `shape` (channels, height, width).

    >>> from lightsearch import conv, cost, gap, linear, seq
    >>> cost(seq(conv(8), gap(), linear(10))).params, cost("conv(8) gap linear(10)").params
    (178, 178)

    With `classes`, the output must be one pixel of that many values.

    Raises `DesignError`, with the place, for a layer that does not fit its input, and
    `ArgumentError` for a wrong shape.
    """
    design = read_design(design)
    shape = check_arguments(design, shape)
    if classes is not None:
        classes = check_integer("classes", classes, 1, 10**9)
    steps = lower_all(design, shape)
    spans, params, macs, peak, whole = PIXEL, 0, 0, elements(shape), False
    for step in steps:
        spans = chain(spans, step.spans)
        params += step.params
        macs += step.macs
        whole = whole or step.whole
        peak = max(peak, step.peak)
    output = steps[-1].shape if steps else shape
    if classes is not None and output != (classes, 1, 1):
        last = f"[{len(steps) - 1}]" if steps else "the input"
        raise DesignError(
            f"the output must be {classes}x1x1, one value a class, but got "
            f"{format_shape(output)} at {last}"
        )
    field, jump = _smaller(spans)
    return Cost(steps, output, params, macs, BYTES * peak, field, jump, whole)


def _smaller(spans: Spans) -> tuple[int, int]:
    """Return receptive field and jump as one number each: the smaller of height and width."""
    return min(span.extent for span in spans), min(span.stride for span in spans)


def check_arguments(design: Design, shape: Shape) -> Shape:
    check_kind("design", design, Seq, "a sequence of layers or its notation")
    return check_shape(shape)


def _list_rows(steps: tuple[Step, ...], path: str, spans: Spans, passes: int = 1) -> Iterator[Row]:
    """Yield the rows of layers that are applied `passes` times."""
    for index, step in enumerate(steps):
        place = f"{path}[{index}]"
        params, macs, text = step.params, passes * step.macs, str(step.layer)
        block = next((op for _, op in step.ops if list_bodies(op)), None)
        times = passes * (block.passes if isinstance(block, Iterate) else 1)
        for name, body in list_bodies(block) if block is not None else ():
            yield from _list_rows(body, f"{place}.{name}", spans, times)
            params -= sum(inner.params for inner in body)
            macs -= times * sum(inner.macs for inner in body)
        if isinstance(block, Add | Iterate | Branches):
            text = _describe_block(block)
        spans = chain(spans, step.spans)
        yield Row(
            place,
            text,
            step.shape,
            params,
            macs,
            BYTES * elements(step.shape),
            *_smaller(spans),
            step.whole,
            block.passes if isinstance(block, Iterate) else 1,
        )


def _describe_block(block: Add | Iterate | Branches) -> str:
    if isinstance(block, Branches):
        return block.by
    if isinstance(block, Iterate):
        return f"loop, {block.passes} passes"
    text = "add" if block.project is None else "add, project"
    return text + (", resize" if block.size else "")
