"""Where the tensors of a `state_dict` lie in the native engine's flat arrays. No torch in here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lightsearch.engines.native.interface import BORDERS
from lightsearch.network.operations import (
    AdaptivePool,
    Add,
    BatchNorm,
    Border,
    Conv2d,
    Custom,
    Dense,
    Drop,
    GroupNorm,
    Op,
    PerPass,
    Pool,
    PRelu,
    Squeeze,
    Step,
    list_bodies,
)


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a tensor of the `state_dict` lies in a flat array, and its shape."""

    name: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """Its number of values."""
        return math.prod(self.shape)


class Unsupported(Exception):
    """The design has a layer that the native engine does not know. PyTorch trains it."""


def is_known(op: Op) -> bool:
    """Whether the native engine has this operation, apart from those in its body."""
    if isinstance(op, Conv2d | Pool):
        return op.across is None
    if isinstance(op, Border):
        return op.mode in BORDERS
    return not isinstance(op, Custom | AdaptivePool)


class Layout:
    """Lays tensors one behind the other, in the order of the PyTorch module.

    That is not the order in which they are used: a loop uses its weights in each pass. `names` are
    those of all tensors. `counters` are those of batch norm's counts of batches, which are in no
    array. `drops` are the operations that drop values, in their order. `offsets` says where in its
    array the tensor of a name begins.

    Raises `Unsupported` for an operation that the engine does not have.
    """

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.parameters: list[Slot] = []
        self.running: list[Slot] = []
        self.counters: list[str] = []
        self.names: list[str] = []
        self.drops: list[str] = []
        self.offsets: dict[str, int] = {}
        self._add_steps(steps, "")

    def _add_steps(self, steps: tuple[Step, ...], prefix: str) -> None:
        for index, step in enumerate(steps):
            for name, op in step.ops:
                self._add(op, f"{prefix}{index}.{name}")

    def _add(self, op: Op, place: str) -> None:
        """Add the tensors of an operation."""
        if not is_known(op):
            raise Unsupported(f"{op!r}")
        if isinstance(op, Conv2d):
            taps = (op.inputs // op.groups, op.kernel, op.kernel)
            self._add_weights(place, (op.outputs, *taps), op.bias)
        elif isinstance(op, Dense):
            self._add_weights(place, (op.outputs, op.inputs), op.bias)
        elif isinstance(op, BatchNorm | GroupNorm):
            self._add_norm(op, place)
        elif isinstance(op, PRelu):
            self._add_weights(place, (op.channels,), False)
        elif isinstance(op, Squeeze):
            self._add_weights(f"{place}.reduce", (op.hidden, op.channels, 1, 1), True)
            self._add_weights(f"{place}.expand", (op.channels, op.hidden, 1, 1), True)
        elif isinstance(op, Drop):
            self.drops.append(place)
        elif isinstance(op, PerPass):
            for number in range(op.passes):
                self._add(op.op, f"{place}.{number}")
        else:
            for name, body in list_bodies(op):
                self._add_steps(body, f"{place}.{name}.")
            if isinstance(op, Add) and op.project is not None:
                self._add(op.project, f"{place}.project")

    def _add_norm(self, op: BatchNorm | GroupNorm, place: str) -> None:
        if op.affine == "both":
            self._place(self.parameters, f"{place}.weight", (op.channels,))
        if op.affine != "none":
            self._place(self.parameters, f"{place}.bias", (op.channels,))
        if isinstance(op, BatchNorm):
            for name in ("running_mean", "running_var"):
                self._place(self.running, f"{place}.{name}", (op.channels,))
            self.counters.append(f"{place}.num_batches_tracked")
            self.names.append(f"{place}.num_batches_tracked")

    def _add_weights(self, place: str, shape: tuple[int, ...], bias: bool) -> None:
        self._place(self.parameters, f"{place}.weight", shape)
        if bias:
            self._place(self.parameters, f"{place}.bias", shape[:1])

    def _place(self, slots: list[Slot], name: str, shape: tuple[int, ...]) -> None:
        offset = slots[-1].offset + slots[-1].size if slots else 0
        slots.append(Slot(name, shape, offset))
        self.names.append(name)
        self.offsets[name] = offset
