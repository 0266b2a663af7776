"""The exact cost of a design, without torch: parameters, MACs, activation memory, receptive field.

- *Parameters* are what `sum(p.numel() for p in module.parameters())` gives.
- *MACs* count convolutions and linear layers, one for each multiplication, for one image.
- *Activation bytes* are the largest number of float32 bytes alive at once for one image at
  inference: a layer's input and output together, and the input of a residual while its body runs.
  Normalisation, activation, dropout and the scaling of a gate work in place. In int8 it is a
  quarter of that: the same values, one byte each.
- The *receptive field* is the unclipped local extent on the input, in pixels; a gate and
  squeeze-and-excitation see the whole image, which is flagged and not added. *Jump* is the
  distance on the input between neighbouring outputs. Where a residual's resized input reaches
  beyond its body's window, the field is the widest over the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lightsearch.checks import integer, kind
from lightsearch.design.parts import Design, Seq
from lightsearch.errors import ArgumentError, DesignError
from lightsearch.network.lowering import lower_all
from lightsearch.network.operations import Add, Step
from lightsearch.shapes import Shape, check_shape, elements, format_shape

BYTES = 4  # of a float32


@dataclass(frozen=True, slots=True)
class Row:
    """One layer of a design's table. `shape` is its output; a residual's row is its addition."""

    place: str
    layer: str
    shape: Shape
    params: int
    macs: int
    activation_bytes: int
    receptive_field: int
    jump: int
    whole_image: bool


@dataclass(frozen=True, slots=True)
class Cost:
    """Totals of a design; `rows` has them layer by layer."""

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
        """The activation bytes of the network in int8: the same values, one byte each."""
        return self.activation_bytes // BYTES

    @property
    def rows(self) -> tuple[Row, ...]:
        """The table of the design, one row a layer, the layers of a residual's body included."""
        return tuple(_rows(self.steps, "", 1, 1))


@dataclass(frozen=True, slots=True)
class Budget:
    """Caps that a design must meet before it is built: each is inclusive, and None is no cap.

    `activation_bytes` are of float32; a network that will run in int8 within N bytes is one of at
    most `4 * N`:

    >>> from lightsearch import Budget, cost, parse
    >>> board = Budget(params=8000, activation_bytes=4 * 7200)
    >>> spent = cost(parse("conv(8) maxpool conv(16) gap linear(10)"), (1, 28, 28))
    >>> spent.activation_bytes_int8, board.exceeded(spent)
    (7840, 'activation_bytes')
    """

    params: int | None = None
    macs: int | None = None
    activation_bytes: int | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)
                                      or value < 1):
                raise ArgumentError(f"`budget.{name}` must be an integer >= 1 or None, "
                                    f"but got {name}={value!r}")

    def exceeded(self, cost: Cost) -> str | None:
        """The name of the first cap that `cost` exceeds, if any."""
        for name in self.__slots__:
            cap = getattr(self, name)
            if cap is not None and getattr(cost, name) > cap:
                return name
        return None


def cost(design: Design, shape: Shape = (1, 28, 28), classes: int | None = None) -> Cost:
    """What `design` costs on one image of `shape` (channels, height, width).

    >>> from lightsearch import conv, cost, gap, linear, seq
    >>> cost(seq(conv(8), gap(), linear(10))).params
    178

    With `classes`, the output must have that many values, in one pixel.

    Raises `DesignError` with the place for a layer that does not fit its input, `ArgumentError`
    for a shape that is none.
    """
    check_arguments(design, shape)
    if classes is not None:
        integer("classes", classes, 1, 10**9)
    steps = lower_all(design, shape)
    field, jump, params, macs, peak, whole = 1, 1, 0, 0, elements(shape), False
    for step in steps:
        field += (step.extent - 1) * jump
        jump *= step.stride
        params += step.params
        macs += step.macs
        whole = whole or step.whole
        peak = max(peak, step.peak)
    output = steps[-1].shape if steps else shape
    if classes is not None and output != (classes, 1, 1):
        last = f"[{len(steps) - 1}]" if steps else "the input"
        raise DesignError(f"the output must be {classes}x1x1, one value a class, but got "
                          f"{format_shape(output)} at {last}")
    return Cost(steps, output, params, macs, BYTES * peak, field, jump, whole)


def check_arguments(design: Design, shape: Shape) -> None:
    kind("design", design, Seq, "a sequence of layers (`parse` reads notation)")
    check_shape(shape)


def _rows(steps: tuple[Step, ...], path: str, field: int, jump: int) -> Iterator[Row]:
    for index, step in enumerate(steps):
        place = f"{path}[{index}]"
        params, macs, text = step.params, step.macs, str(step.layer)
        add = next((op for _, op in step.ops if isinstance(op, Add)), None)
        if add is not None:
            yield from _rows(add.body, f"{place}.body", field, jump)
            params -= sum(inner.params for inner in add.body)
            macs -= sum(inner.macs for inner in add.body)
            text = "add" if add.project is None else "add, project"
            text += ", resize" if add.size else ""
        field += (step.extent - 1) * jump
        jump *= step.stride
        yield Row(place, text, step.shape, params, macs, BYTES * elements(step.shape), field, jump,
                  step.whole)
