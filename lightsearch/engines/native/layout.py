"""Where the tensors of a `state_dict` lie in the native engine's flat arrays. No torch in here."""

from __future__ import annotations

import math
from dataclasses import dataclass


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


class Layout:
    """Lays tensors one behind the other, in the order of the PyTorch module.

    `names` are those of all tensors. `counters` are those of batch norm's counts of batches, which
    are in no array.
    """

    def __init__(self) -> None:
        self.parameters: list[Slot] = []
        self.running: list[Slot] = []
        self.counters: list[str] = []
        self.names: list[str] = []

    def add_parameter(self, name: str, *shape: int) -> int:
        """Add a parameter, and return its offset in the array of parameters."""
        return self._add(self.parameters, name, shape)

    def add_running(self, name: str, *shape: int) -> int:
        """Add a running statistic, and return its offset in the array of those."""
        return self._add(self.running, name, shape)

    def add_counter(self, name: str) -> None:
        """Add a count of batches."""
        self.counters.append(name)
        self.names.append(name)

    def _add(self, slots: list[Slot], name: str, shape: tuple[int, ...]) -> int:
        offset = slots[-1].offset + slots[-1].size if slots else 0
        slots.append(Slot(name, shape, offset))
        self.names.append(name)
        return offset
