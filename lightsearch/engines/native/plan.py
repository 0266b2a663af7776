"""From a design to the network that the native engine runs, as plain data. No torch in here.

A plan has values (tensors), ops that make one from another, and where every parameter lies in one
flat array. `Value` and `Op` mirror the structs of `cpp/net.hpp`, field by field.

Ops run block by block (16 images), from one batch normalisation to the next: such a stretch is a
segment. What later segments read is kept for the whole batch, and so is what a convolution gives;
anything else is made again in the backward pass. Gradients that cross segments share as few
buffers as their lives allow; one may lie where the one that it was made from lay before.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, ClassVar

from lightsearch.design.parts import Design
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

(CONV, POINTWISE, MAX_POOL, AVERAGE_POOL, GLOBAL_POOL, GATE, SQUEEZE, RESIZE, ADD) = range(9)
FUNCTIONS = ("none", "relu", "gelu", "silu", "hardswish")
OWN, NONE = -1, -2  # gradients with a block of their own, and values without a gradient


class Value(ctypes.Structure):
    """A tensor; see `cpp/net.hpp`."""

    _fields_: ClassVar = [(name, ctypes.c_int64) for name in (
        "channels", "height", "width", "halo", "batch", "gradient")]


class Op(ctypes.Structure):
    """What makes a tensor from another; see `cpp/net.hpp`."""

    _fields_: ClassVar = [(name, ctypes.c_int64) for name in (
        "kind", "source", "other", "target", "height", "width", "stride", "padding", "groups",
        "weight", "bias", "weight2", "bias2", "hidden", "gamma", "beta", "running", "before",
        "after", "drop", "threshold", "drop_index", "tail", "wanted", "wanted_other", "adds",
        "adds_other", "again", "barrier")]


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a tensor of the `state_dict` lies in a flat array."""

    name: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """Its number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A network ready to be handed over; `parameters` are in the order of the module's own."""

    values: tuple[Value, ...]
    ops: tuple[Op, ...]
    input: int
    scores: int
    parameters: tuple[Slot, ...]
    running: tuple[Slot, ...]
    counters: tuple[str, ...]  # batch norm's counts of batches, by name
    names: tuple[str, ...]  # all of them, in the order of the module's `state_dict`

    @property
    def parameter_count(self) -> int:
        """The number of parameters."""
        return sum(slot.size for slot in self.parameters)

    @property
    def running_count(self) -> int:
        """The number of running statistics."""
        return sum(slot.size for slot in self.running)


class Unsupported(Exception):
    """A design with a layer that the native engine does not know: a user's own."""


@functools.lru_cache(maxsize=256)
def plan(design: Design, shape: Shape) -> Plan:
    """The plan of `design` for images of `shape`. Raises `Unsupported` for a user's own layer."""
    writer = _Writer(shape)
    source = writer.input
    for index, step in enumerate(lower_all(design, shape)):
        source = writer.layer(step, f"{index}", source)
    return writer.finish(source)


def supports(design: Design, shape: Shape) -> bool:
    """Whether every layer of `design` is one that the native engine knows."""
    try:
        plan(design, shape)
    except Unsupported:
        return False
    return True


class _Writer:
    """Writes the ops in the order they run, then settles what lives where and how long."""

    def __init__(self, shape: Shape) -> None:
        self.values: list[Value] = []
        self.ops: list[Op] = []
        self.parameters: list[Slot] = []
        self.running: list[Slot] = []
        self.counters: list[str] = []
        self.names: list[str] = []
        self.drops = 0
        self.input = self._value(shape)

    # Ops -------------------------------------------------------------------------------------

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
            return self._op(MAX_POOL if op.by == "max" else AVERAGE_POOL, source,
                            (shape[0], *size), height=op.kernel, width=op.kernel,
                            stride=op.stride, padding=op.padding)
        if isinstance(op, GlobalPool):
            return self._op(GLOBAL_POOL, source, (shape[0], 1, 1))
        if isinstance(op, Activation):
            return self._op(POINTWISE, source, shape, before=FUNCTIONS.index(op.name))
        if isinstance(op, Drop):
            return self._op(POINTWISE, source, shape, **self._drop(op))
        if isinstance(op, ChannelGate):
            return self._op(GATE, source, shape)
        if isinstance(op, Squeeze):
            return self._squeeze(op, place, source)
        if isinstance(op, Add):
            return self._add(op, place, source)
        assert isinstance(op, Custom)
        raise Unsupported(f"{op.layer!r}")

    def _convolution(self, op: Conv2d | Dense, place: str, source: int) -> int:
        _, height, width = self._shape(source)
        if isinstance(op, Dense):
            weight = self._parameter(f"{place}.weight", op.outputs, op.inputs)
            kernel, stride, padding, groups, size = (height, width), 1, 0, 1, (1, 1)
        else:
            taps = (op.inputs // op.groups, op.kernel, op.kernel)
            weight = self._parameter(f"{place}.weight", op.outputs, *taps)
            kernel, stride, padding = (op.kernel, op.kernel), op.stride, op.padding
            groups = op.groups
            size = slide((height, width), op.kernel, stride, padding)
        bias = self._parameter(f"{place}.bias", op.outputs) if op.bias else -1
        return self._op(CONV, source, (op.outputs, *size), height=kernel[0], width=kernel[1],
                        stride=stride, padding=padding, groups=groups, weight=weight, bias=bias)

    def _tail(self, tail: list[tuple[str, Operation]], path: str, source: int) -> int:
        """The pointwise op after a convolution: an activation, a normalisation, dropout."""
        fields: dict[str, int] = {}
        for name, op in tail:
            if isinstance(op, BatchNorm):
                place, channels = f"{path}.{name}", op.channels
                fields["gamma"] = self._parameter(f"{place}.weight", channels)
                fields["beta"] = self._parameter(f"{place}.bias", channels)
                fields["running"] = self._slot(self.running, f"{place}.running_mean", channels)
                self._slot(self.running, f"{place}.running_var", channels)
                self.counters.append(f"{place}.num_batches_tracked")
                self.names.append(self.counters[-1])
            elif isinstance(op, Activation):
                side = "after" if "gamma" in fields else "before"
                fields[side] = FUNCTIONS.index(op.name)
            else:
                assert isinstance(op, Drop)
                fields |= self._drop(op)
        convolution = self.ops[-1]
        convolution.tail = len(self.ops)
        convolution.barrier = "gamma" in fields
        return self._op(POINTWISE, source, self._shape(source), **fields)

    def _drop(self, op: Drop) -> dict[str, int]:
        self.drops += 1
        return {"drop": 1 if op.per == "element" else 2, "threshold": threshold(op.rate),
                "drop_index": self.drops - 1}

    def _squeeze(self, op: Squeeze, place: str, source: int) -> int:
        weight = self._parameter(f"{place}.reduce.weight", op.hidden, op.channels, 1, 1)
        bias = self._parameter(f"{place}.reduce.bias", op.hidden)
        weight2 = self._parameter(f"{place}.expand.weight", op.channels, op.hidden, 1, 1)
        bias2 = self._parameter(f"{place}.expand.bias", op.channels)
        return self._op(SQUEEZE, source, self._shape(source), weight=weight, bias=bias,
                        weight2=weight2, bias2=bias2, hidden=op.hidden)

    def _add(self, op: Add, place: str, source: int) -> int:
        body = source
        for index, step in enumerate(op.body):
            body = self.layer(step, f"{place}.body.{index}", body)
        shortcut = source
        if op.size is not None:
            shortcut = self._op(RESIZE, shortcut, (self._shape(source)[0], *op.size))
        if op.project is not None:
            shortcut = self._convolution(op.project, f"{place}.project", shortcut)
        return self._op(ADD, body, self._shape(body), other=shortcut)

    def _value(self, shape: Shape) -> int:
        self.values.append(Value(*shape, 0, 0, NONE))
        return len(self.values) - 1

    def _shape(self, value: int) -> Shape:
        found = self.values[value]
        return found.channels, found.height, found.width

    def _op(self, kind: int, source: int, shape: Shape, other: int = -1, **fields: int) -> int:
        target = self._value(shape)
        absent: dict[str, Any] = dict.fromkeys(
            ("weight", "bias", "weight2", "bias2", "gamma", "beta", "running", "tail"), -1)
        self.ops.append(Op(kind=kind, source=source, other=other, target=target,
                           **(absent | {"groups": 1, "stride": 1} | fields)))
        return target

    def _parameter(self, name: str, *shape: int) -> int:
        return self._slot(self.parameters, name, *shape)

    def _slot(self, slots: list[Slot], name: str, *shape: int) -> int:
        offset = slots[-1].offset + slots[-1].size if slots else 0
        slots.append(Slot(name, shape, offset))
        self.names.append(name)
        return offset

    # Lives -----------------------------------------------------------------------------------

    def finish(self, scores: int) -> Plan:
        """Settle halos, what is kept, what is made again, and where gradients go."""
        self.scores = scores
        self.segments, segment = [], 0
        for op in self.ops:
            self.segments.append(segment)
            segment += op.barrier
        self._settle_values()
        self._settle_order()
        self._settle_gradients()
        return Plan(tuple(self.values), tuple(self.ops), self.input, scores,
                    tuple(self.parameters), tuple(self.running), tuple(self.counters),
                    tuple(self.names))

    def _settle_values(self) -> None:
        made = {op.target: segment for op, segment in zip(self.ops, self.segments, strict=True)}
        kept = {op.target for op in self.ops if op.kind == CONV} | {self.input, self.scores}
        for op, segment in zip(self.ops, self.segments, strict=True):
            for value in _read(op):
                found = self.values[value]
                if op.kind == CONV:
                    found.halo = max(found.halo, op.padding)
                if made.get(value, 0) < segment or found.height * found.width == 1:
                    kept.add(value)
        for value in kept:
            self.values[value].batch = 1

    def _settle_order(self) -> None:
        """Which outputs the backward pass needs again, and which gradients add to others."""
        learns = {self.input: False}
        for op in self.ops:
            op.wanted = learns[op.source]
            op.wanted_other = op.other >= 0 and learns[op.other]
            learns[op.target] = bool(op.weight >= 0 or op.gamma >= 0 or op.wanted
                                     or op.wanted_other)
        needed: set[int] = set()
        written: set[int] = set()
        for op in reversed(self.ops):
            if op.kind == MAX_POOL:
                needed.add(op.target)
            op.again = op.target in needed and not self.values[op.target].batch
            if op.again or op.kind in (CONV, MAX_POOL, POINTWISE, GATE, SQUEEZE):
                needed |= set(_read(op))
            for value, wanted, adds in ((op.source, op.wanted, "adds"),
                                        (op.other, op.wanted_other, "adds_other")):
                if wanted:
                    setattr(op, adds, value in written)
                    written.add(value)
        self.learns = learns

    def _settle_gradients(self) -> None:
        lives: dict[int, list[int]] = defaultdict(list)  # the segments a gradient must last for
        for op, segment in zip(self.ops, self.segments, strict=True):
            lives[op.target].append(segment)
            for value in _read(op):
                lives[value].append(segment)
            if op.tail >= 0:
                lives[self.ops[op.tail].target].append(segment)
        lives[self.scores].append(self.segments[-1] + 1)  # the loss comes after all blocks
        silent = {op.target for op in self.ops if op.tail >= 0}  # the tail's serves for both
        early = {self.ops[op.tail].target for op in self.ops if op.barrier}
        buffers: list[list[tuple[float, int]]] = []
        for value in sorted(lives, key=lambda v: (-max(lives[v]), min(lives[v]))):
            first, last = min(lives[value]), max(lives[value])
            if value in silent or not (self.learns[value] or value == self.scores):
                continue
            if first == last:
                self.values[value].gradient = OWN
                continue
            # That of a segment's last convolution is read before the block's others are written.
            begin = first + 0.5 if value in early else first
            free = next((index for index, taken in enumerate(buffers)
                         if all(last < a or b < begin for a, b in taken)), len(buffers))
            if free == len(buffers):
                buffers.append([])
            buffers[free].append((begin, last))
            self.values[value].gradient = free


def _tail_length(ops: list[tuple[str, Operation]]) -> int:
    """How many of the next ops one pointwise op does: activation, normalisation, then dropout."""
    length, kinds = 0, (BatchNorm, Activation)
    while length < len(ops) and isinstance(ops[length][1], kinds):
        length += 1
    return length + (length < len(ops) and isinstance(ops[length][1], Drop))


def _read(op: Op) -> tuple[int, ...]:
    return (op.source, op.other) if op.other >= 0 else (op.source,)
