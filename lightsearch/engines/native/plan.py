"""Turns a design into the network that the native engine runs, as plain data. No torch in here.

A plan lists tensors (`Value`), the operations that make one from another (`Op`) in the order they
run, and where each parameter lies in one flat array.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from lightsearch.design.parts import Design
from lightsearch.engines.native.interface import (
    Op,
    Value,
)
from lightsearch.engines.native.layout import Layout, Slot, Unsupported
from lightsearch.engines.native.lifetimes import settle
from lightsearch.engines.native.writer import Writer
from lightsearch.network.lowering import lower_all
from lightsearch.shapes import Shape


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


@functools.lru_cache(maxsize=256)
def plan(design: Design, shape: Shape) -> Plan:
    """Return the plan of `design` for images of `shape`.

    Raises `Unsupported` for an operation that the engine does not have.
    """
    steps = lower_all(design, shape)
    layout = Layout(steps)
    writer = Writer(shape, layout)
    scores = writer.write(steps, "", writer.input)
    settle(writer.values, writer.ops, writer.input, scores)
    return Plan(
        tuple(writer.values),
        tuple(writer.ops),
        writer.input,
        scores,
        tuple(layout.parameters),
        tuple(layout.running),
        tuple(layout.counters),
        tuple(layout.names),
    )


def supports(design: Design, shape: Shape) -> bool:
    """Return whether the native engine knows every layer of `design`."""
    try:
        plan(design, shape)
    except Unsupported:
        return False
    return True
