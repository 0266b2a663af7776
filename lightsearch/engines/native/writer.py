"""Writes the ops of a plan in the order they run. No torch in here."""

from __future__ import annotations

from typing import Any

from lightsearch.engines.native.interface import (
    BORDERS,
    FUNCTIONS,
    DropMode,
    Gradient,
    Kind,
    Offset,
    Op,
    Value,
)
from lightsearch.engines.native.layout import Layout
from lightsearch.network.operations import (
    Activation,
    Add,
    BatchNorm,
    Border,
    Branches,
    ChannelGate,
    Conv2d,
    Dense,
    Drop,
    Extend,
    GlobalPool,
    GroupNorm,
    Iterate,
    PerPass,
    Pool,
    PRelu,
    ShuffleChannels,
    Slice,
    Squeeze,
    Step,
    list_bodies,
)
from lightsearch.network.operations import Op as Operation
from lightsearch.randomness import threshold
from lightsearch.shapes import Shape, slide


class Writer:
    """Writes the ops in the order they run."""

    def __init__(self, shape: Shape, layout: Layout) -> None:
        self.values: list[Value] = []
        self.ops: list[Op] = []
        self.layout = layout
        self.drops = {place: index for index, place in enumerate(layout.drops)}
        self.input = self._value(shape)

    def write(self, steps: tuple[Step, ...], prefix: str, source: int, number: int = 0) -> int:
        """Write the layers of a sequence, in pass `number` of the loop around it."""
        ops = [
            _take_pass(op, f"{prefix}{index}.{name}", number)
            for index, step in enumerate(steps)
            for name, op in step.ops
        ]
        while ops:
            place, op = ops.pop(0)
            if isinstance(op, BatchNorm):  # that follows no convolution: it is the first of a tail
                ops.insert(0, (place, op))
                source = self._op(Kind.MEASURE, source, self._shape(source))
            elif isinstance(op, Conv2d | Dense):
                source = self._convolution(op, place, source)
            else:
                source = self._single(op, place, source, number)
                continue
            tail = [ops.pop(0) for _ in range(_tail_length(ops))]
            if tail:
                source = self._tail(tail, source)
        return source

    def _single(self, op: Operation, place: str, source: int, number: int) -> int:
        shape = self._shape(source)
        if isinstance(op, Pool):
            size = slide(shape[1:], op.kernel, op.stride, op.padding)
            return self._op(
                Kind.MAX_POOL if op.by == "max" else Kind.AVERAGE_POOL,
                source,
                (shape[0], *size),
                height=op.kernel,
                width=op.kernel,
                stride=op.stride,
                padding=op.padding,
            )
        if isinstance(op, GlobalPool):
            return self._op(Kind.GLOBAL_POOL, source, (shape[0], 1, 1))
        if isinstance(op, Activation):
            return self._op(
                Kind.POINTWISE, source, shape, before=FUNCTIONS[op.name], slope=op.slope
            )
        if isinstance(op, PRelu):
            return self._op(Kind.PRELU, source, shape, weight=self._offset(f"{place}.weight"))
        if isinstance(op, Drop):
            return self._op(Kind.POINTWISE, source, shape, **self._drop(op, place))
        if isinstance(op, GroupNorm):
            weight, bias = self._affine(op, place)
            return self._op(
                Kind.GROUP_NORM, source, shape, groups=op.groups, weight=weight, bias=bias
            )
        if isinstance(op, ChannelGate):
            return self._op(Kind.GATE, source, shape)
        if isinstance(op, Squeeze):
            return self._squeeze(op, place, source)
        if isinstance(op, Iterate):
            for inner in range(op.passes):
                turn = number * op.passes + inner
                source = self.write(op.body, f"{place}.body.", source, turn)
            return source
        if isinstance(op, Branches):
            first, second = (
                self.write(body, f"{place}.{name}.", source, number)
                for name, body in list_bodies(op)
            )
            return self._join(op.by, first, second)
        if isinstance(op, Slice | Extend | ShuffleChannels | Border):
            return self._move(op, source)
        assert isinstance(op, Add), op
        return self._add(op, place, source, number)

    def _join(self, by: str, first: int, second: int) -> int:
        """Write the sum of two branches, or the channels of both."""
        channels, height, width = self._shape(first)
        if by == "add":
            return self._op(Kind.ADD, first, (channels, height, width), other=second)
        channels += self._shape(second)[0]
        return self._op(Kind.CONCAT, first, (channels, height, width), other=second)

    def _move(self, op: Slice | Extend | ShuffleChannels | Border, source: int) -> int:
        """Write an operation that moves values and changes none."""
        channels, height, width = self._shape(source)
        if isinstance(op, ShuffleChannels):
            return self._op(Kind.MOVE, source, (channels, height, width), groups=op.groups)
        if isinstance(op, Slice):
            shape = op.stop - op.start, height, width
            return self._op(Kind.MOVE, source, shape, channel=-op.start)
        if isinstance(op, Extend):
            shape = channels + op.before + op.after, height, width
            return self._op(Kind.MOVE, source, shape, channel=op.before)
        return self._op(
            Kind.MOVE,
            source,
            (channels, height + op.top + op.bottom, width + op.left + op.right),
            top=op.top,
            left=op.left,
            border=BORDERS[op.mode],
        )

    def _convolution(self, op: Conv2d | Dense, place: str, source: int) -> int:
        _, height, width = self._shape(source)
        if isinstance(op, Dense):
            kernel, stride, padding, groups, size = (height, width), 1, 0, 1, (1, 1)
            dilation = 1
        else:
            kernel, stride, padding = (op.kernel, op.kernel), op.stride, op.padding
            groups, dilation = op.groups, op.dilation if op.kernel > 1 else 1
            size = slide((height, width), op.slides[0].extent, stride, padding)
        return self._op(
            Kind.CONV,
            source,
            (op.outputs, *size),
            height=kernel[0],
            width=kernel[1],
            stride=stride,
            padding=padding,
            groups=groups,
            dilation=dilation,
            weight=self._offset(f"{place}.weight"),
            bias=self._offset(f"{place}.bias") if op.bias else Offset.ABSENT,
        )

    def _tail(self, tail: list[tuple[str, Operation]], source: int) -> int:
        """Write the pointwise op behind a convolution or `MEASURE`.

        It does activation, normalisation and dropout.
        """
        fields: dict[str, Any] = {}
        for place, op in tail:
            if isinstance(op, BatchNorm):
                fields["gamma"], fields["beta"] = self._affine(op, place)
                fields["running"] = self._offset(f"{place}.running_mean")
            elif isinstance(op, Activation):
                side = "after" if "running" in fields else "before"
                fields |= {side: FUNCTIONS[op.name], "slope": op.slope}
            else:
                assert isinstance(op, Drop)
                fields |= self._drop(op, place)
        before = self.ops[-1]
        before.tail = len(self.ops)
        before.barrier = "running" in fields
        return self._op(Kind.POINTWISE, source, self._shape(source), **fields)

    def _affine(self, op: BatchNorm | GroupNorm, place: str) -> tuple[int, int]:
        """Return the offsets of a norm's gain and shift."""
        return (
            self._offset(f"{place}.weight") if op.affine == "both" else Offset.ABSENT,
            self._offset(f"{place}.bias") if op.affine != "none" else Offset.ABSENT,
        )

    def _drop(self, op: Drop, place: str) -> dict[str, int]:
        mode = DropMode.PER_ELEMENT if op.per == "element" else DropMode.PER_CHANNEL
        return {"drop": mode, "threshold": threshold(op.rate), "drop_index": self.drops[place]}

    def _squeeze(self, op: Squeeze, place: str, source: int) -> int:
        return self._op(
            Kind.SQUEEZE,
            source,
            self._shape(source),
            weight=self._offset(f"{place}.reduce.weight"),
            bias=self._offset(f"{place}.reduce.bias"),
            weight2=self._offset(f"{place}.expand.weight"),
            bias2=self._offset(f"{place}.expand.bias"),
            hidden=op.hidden,
        )

    def _add(self, op: Add, place: str, source: int, number: int) -> int:
        body = self.write(op.body, f"{place}.body.", source, number)
        shortcut = source
        if op.size is not None:
            shortcut = self._op(Kind.RESIZE, shortcut, (self._shape(source)[0], *op.size))
        if op.project is not None:
            own, project = _take_pass(op.project, f"{place}.project", number)
            assert isinstance(project, Conv2d)
            shortcut = self._convolution(project, own, shortcut)
        return self._op(Kind.ADD, body, self._shape(body), other=shortcut)

    def _offset(self, name: str) -> int:
        return self.layout.offsets[name]

    def _value(self, shape: Shape) -> int:
        channels, height, width = shape
        self.values.append(
            Value(channels=channels, height=height, width=width, gradient=Gradient.NO_GRADIENT)
        )
        return len(self.values) - 1

    def _shape(self, value: int) -> Shape:
        found = self.values[value]
        return found.channels, found.height, found.width

    def _op(
        self, kind: Kind, source: int, shape: Shape, other: int = Offset.ABSENT, **fields: float
    ) -> int:
        target = self._value(shape)
        absent: dict[str, Any] = dict.fromkeys(
            ("weight", "bias", "weight2", "bias2", "gamma", "beta", "running", "tail"),
            Offset.ABSENT,
        )
        self.ops.append(
            Op(
                kind=kind,
                source=source,
                other=other,
                target=target,
                **(absent | {"groups": 1, "stride": 1, "dilation": 1} | fields),
            )
        )
        return target


def _take_pass(op: Operation, place: str, number: int) -> tuple[str, Operation]:
    """Return an operation as it is in pass `number`, and its place in the module."""
    while isinstance(op, PerPass):
        place, op = f"{place}.{op.index(number)}", op.op
    return place, op


def _tail_length(ops: list[tuple[str, Operation]]) -> int:
    """Count the next ops that one pointwise op does: activation, normalisation, then dropout.

    Activation and normalisation have any order, and there is one of each at most.
    """
    length = 0
    kinds: list[type[Operation]] = [BatchNorm, Activation]
    while length < len(ops) and (kind := type(ops[length][1])) in kinds:
        kinds.remove(kind)
        length += 1
    return length + (length < len(ops) and isinstance(ops[length][1], Drop))
