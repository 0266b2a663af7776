"""Turns a design into the network that the native engine runs, as plain data. No torch in here.

A plan lists tensors (`Value`), the operations that make one from another (`Op`) in the order they
run, and where each parameter lies in one flat array.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from lightsearch.design.parts import Design
from lightsearch.engines.native.interface import (
    DropMode,
    Function,
    Gradient,
    Kind,
    Offset,
    Op,
    Value,
)
from lightsearch.engines.native.layout import Layout, Slot
from lightsearch.engines.native.lifetimes import settle
from lightsearch.network.lowering import lower_all
from lightsearch.network.operations import (
    Activation,
    Add,
    BatchNorm,
    ChannelGate,
    Conv2d,
    Custom,
    Dense,
    Drop,
    GlobalPool,
    Pool,
    Squeeze,
    Step,
)
from lightsearch.network.operations import Op as Operation
from lightsearch.randomness import threshold
from lightsearch.shapes import Shape, slide

FUNCTIONS = {
    "none": Function.IDENTITY,
    "relu": Function.RELU,
    "gelu": Function.GELU,
    "silu": Function.SILU,
    "hardswish": Function.HARDSWISH,
}


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A network as the library takes it. `parameters` has the order of the PyTorch module."""

    values: tuple[Value, ...]
    ops: tuple[Op, ...]
    input: int
    scores: int
    parameters: tuple[Slot, ...]
    running: tuple[Slot, ...]
    counters: tuple[str, ...]  # names of batch norm's counts of batches
    names: tuple[str, ...]  # all names, in the order of the module's `state_dict`

    @property
    def parameter_count(self) -> int:
        """The number of parameters."""
        return sum(slot.size for slot in self.parameters)

    @property
    def running_count(self) -> int:
        """The number of running statistics."""
        return sum(slot.size for slot in self.running)


class Unsupported(Exception):
    """The design has a layer that the native engine does not know: one of the user's own."""


@functools.lru_cache(maxsize=256)
def plan(design: Design, shape: Shape) -> Plan:
    """Return the plan of `design` for images of `shape`.

    Raises `Unsupported` for a user's own layer.
    """
    writer = _Writer(shape)
    source = writer.input
    for index, step in enumerate(lower_all(design, shape)):
        source = writer.layer(step, f"{index}", source)
    return writer.finish(source)


def supports(design: Design, shape: Shape) -> bool:
    """Return whether the native engine knows every layer of `design`."""
    try:
        plan(design, shape)
    except Unsupported:
        return False
    return True


class _Writer:
    """Writes the ops in the order they run."""

    def __init__(self, shape: Shape) -> None:
        self.values: list[Value] = []
        self.ops: list[Op] = []
        self.layout = Layout()
        self.drops = 0
        self.input = self._value(shape)

    def layer(self, step: Step, path: str, source: int) -> int:
        ops = list(step.ops)
        while ops:
            name, op = ops.pop(0)
            place = f"{path}.{name}"
            if isinstance(op, Conv2d | Dense):
                source = self._convolution(op, place, source)
                tail = [ops.pop(0) for _ in range(_tail_length(ops))]
                if tail:
                    source = self._tail(tail, path, source)
            else:
                source = self._single(op, place, source)
        return source

    def _single(self, op: Operation, place: str, source: int) -> int:
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
            return self._op(Kind.POINTWISE, source, shape, before=FUNCTIONS[op.name])
        if isinstance(op, Drop):
            return self._op(Kind.POINTWISE, source, shape, **self._drop(op))
        if isinstance(op, ChannelGate):
            return self._op(Kind.GATE, source, shape)
        if isinstance(op, Squeeze):
            return self._squeeze(op, place, source)
        if isinstance(op, Add):
            return self._add(op, place, source)
        assert isinstance(op, Custom)
        raise Unsupported(f"{op.layer!r}")

    def _convolution(self, op: Conv2d | Dense, place: str, source: int) -> int:
        _, height, width = self._shape(source)
        if isinstance(op, Dense):
            weight = self.layout.add_parameter(f"{place}.weight", op.outputs, op.inputs)
            kernel, stride, padding, groups, size = (height, width), 1, 0, 1, (1, 1)
        else:
            taps = (op.inputs // op.groups, op.kernel, op.kernel)
            weight = self.layout.add_parameter(f"{place}.weight", op.outputs, *taps)
            kernel, stride, padding = (op.kernel, op.kernel), op.stride, op.padding
            groups = op.groups
            size = slide((height, width), op.kernel, stride, padding)
        bias = self.layout.add_parameter(f"{place}.bias", op.outputs) if op.bias else Offset.ABSENT
        return self._op(
            Kind.CONV,
            source,
            (op.outputs, *size),
            height=kernel[0],
            width=kernel[1],
            stride=stride,
            padding=padding,
            groups=groups,
            weight=weight,
            bias=bias,
        )

    def _tail(self, tail: list[tuple[str, Operation]], path: str, source: int) -> int:
        """Write the pointwise op after a convolution: activation, normalisation and dropout."""
        fields: dict[str, int] = {}
        for name, op in tail:
            if isinstance(op, BatchNorm):
                place, channels = f"{path}.{name}", op.channels
                fields["gamma"] = self.layout.add_parameter(f"{place}.weight", channels)
                fields["beta"] = self.layout.add_parameter(f"{place}.bias", channels)
                fields["running"] = self.layout.add_running(f"{place}.running_mean", channels)
                self.layout.add_running(f"{place}.running_var", channels)
                self.layout.add_counter(f"{place}.num_batches_tracked")
            elif isinstance(op, Activation):
                side = "after" if "gamma" in fields else "before"
                fields[side] = FUNCTIONS[op.name]
            else:
                assert isinstance(op, Drop)
                fields |= self._drop(op)
        convolution = self.ops[-1]
        convolution.tail = len(self.ops)
        convolution.barrier = "gamma" in fields
        return self._op(Kind.POINTWISE, source, self._shape(source), **fields)

    def _drop(self, op: Drop) -> dict[str, int]:
        self.drops += 1
        mode = DropMode.PER_ELEMENT if op.per == "element" else DropMode.PER_CHANNEL
        return {"drop": mode, "threshold": threshold(op.rate), "drop_index": self.drops - 1}

    def _squeeze(self, op: Squeeze, place: str, source: int) -> int:
        weight = self.layout.add_parameter(f"{place}.reduce.weight", op.hidden, op.channels, 1, 1)
        bias = self.layout.add_parameter(f"{place}.reduce.bias", op.hidden)
        weight2 = self.layout.add_parameter(f"{place}.expand.weight", op.channels, op.hidden, 1, 1)
        bias2 = self.layout.add_parameter(f"{place}.expand.bias", op.channels)
        return self._op(
            Kind.SQUEEZE,
            source,
            self._shape(source),
            weight=weight,
            bias=bias,
            weight2=weight2,
            bias2=bias2,
            hidden=op.hidden,
        )

    def _add(self, op: Add, place: str, source: int) -> int:
        body = source
        for index, step in enumerate(op.body):
            body = self.layer(step, f"{place}.body.{index}", body)
        shortcut = source
        if op.size is not None:
            shortcut = self._op(Kind.RESIZE, shortcut, (self._shape(source)[0], *op.size))
        if op.project is not None:
            shortcut = self._convolution(op.project, f"{place}.project", shortcut)
        return self._op(Kind.ADD, body, self._shape(body), other=shortcut)

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
        self, kind: Kind, source: int, shape: Shape, other: int = Offset.ABSENT, **fields: int
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
                **(absent | {"groups": 1, "stride": 1} | fields),
            )
        )
        return target

    def finish(self, scores: int) -> Plan:
        settle(self.values, self.ops, self.input, scores)
        return Plan(
            tuple(self.values),
            tuple(self.ops),
            self.input,
            scores,
            tuple(self.layout.parameters),
            tuple(self.layout.running),
            tuple(self.layout.counters),
            tuple(self.layout.names),
        )


def _tail_length(ops: list[tuple[str, Operation]]) -> int:
    """Count the next ops that one pointwise op does: activation, normalisation, then dropout."""
    length, kinds = 0, (BatchNorm, Activation)
    while length < len(ops) and isinstance(ops[length][1], kinds):
        length += 1
    return length + (length < len(ops) and isinstance(ops[length][1], Drop))
