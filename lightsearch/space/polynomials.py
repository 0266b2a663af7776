"""Counts of designs by parameters, as polynomials packed into Python's integers.

The number of designs with p parameters is the coefficient of x^p. Each coefficient takes a fixed
number of bytes, so a polynomial is one long integer (Kronecker substitution). A sum is then one
addition, and a product with x^p is one shift. This is exact, and as fast as the memory.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from lightsearch.space.graph import Graph

WORK = 10_000_000_000
"""The most bytes to shift and add for one set of tables: about 5 seconds (measured)."""

MEMORY = 1_500_000_000
"""The most bytes that a sampler's tables may take."""


def coefficient_size(graph: Graph) -> int:
    """Return the bytes for a coefficient. No class has more paths than the start."""
    return max(1, (graph.total.bit_length() + 7) // 8)


def count_by_params(graph: Graph, cap: int) -> list[tuple[int, int]]:
    """Return (parameters, number of designs) of all designs with at most `cap` parameters."""
    size = coefficient_size(graph)
    uses = [0] * len(graph.steps)
    for steps in graph.steps:
        for to, _, _ in steps:
            uses[to] += 1
    rows: dict[int, int] = {0: 1}
    for number in range(1, graph.start + 1):
        row = 0
        for to, params, count in graph.steps[number]:
            row += _shift(rows[to], params, count, size)
            uses[to] -= 1
            if not uses[to] and to != graph.start:
                del rows[to]
        rows[number] = _truncate(row, cap + 1, size) if graph.high[number] > cap else row
    return _unpack(rows[graph.start], size)


def is_affordable(graph: Graph, cap: int) -> bool:
    """Whether `count_by_params` up to `cap` stays within `WORK`."""
    size = coefficient_size(graph)
    return (
        sum(size * (min(cap, graph.high[to]) + 1) for steps in graph.steps for to, _, _ in steps)
        <= WORK
    )


@dataclass(frozen=True, slots=True)
class CountTables:
    """For each class and each r, how many paths to the end have at most r units of parameters."""

    rows: list[bytes]
    size: int

    def count(self, number: int, room: int) -> int:
        if room < 0:
            return 0
        start = room * self.size
        return int.from_bytes(self.rows[number][start : start + self.size], "little")


def round_params(params: int, unit: int) -> int:
    """Return parameters in units, rounded to the nearest."""
    return (params + unit // 2) // unit


def tabulate(graph: Graph, cap: int, unit: int = 1) -> CountTables | None:
    """Return the tables for paths of at most `cap` units, or None if they are too large.

    A unit is `unit` parameters, and each step's parameters are rounded to units.
    """
    size, room = coefficient_size(graph), _find_rooms(graph, cap, unit)
    work = sum(size * (room[to] + 1) for steps in graph.steps for to, _, _ in steps)
    if work > WORK or sum(size * (r + 1) for r in room) > MEMORY:
        return None
    return _make_tables(graph, cap, unit)


def _find_rooms(graph: Graph, cap: int, unit: int) -> list[int]:
    """Return for each class the most units that may be left when it is reached, or -1."""
    room = [-1] * len(graph.steps)
    room[graph.start] = max(-1, cap)
    for number in range(graph.start, 0, -1):
        for to, params, _ in graph.steps[number]:
            room[to] = max(room[to], room[number] - round_params(params, unit))
    return room


@functools.lru_cache(maxsize=1)  # a search surveys its space, and draws from it twice over
def _make_tables(graph: Graph, cap: int, unit: int) -> CountTables:
    size, room = coefficient_size(graph), _find_rooms(graph, cap, unit)
    rows = [_ones(room[0] + 1, size)]
    for number in range(1, len(graph.steps)):
        row = 0
        for to, params, count in graph.steps[number]:
            shift = round_params(params, unit)
            if shift <= room[number]:
                row += _shift(rows[to], shift, count, size)
        rows.append(_truncate(row, room[number] + 1, size))
    return CountTables(
        [row.to_bytes(size * (r + 1), "little") for row, r in zip(rows, room, strict=True)], size
    )


def _shift(row: int, params: int, count: int, size: int) -> int:
    return (row if count == 1 else row * count) << (8 * size * params)


def _truncate(row: int, entries: int, size: int) -> int:
    return row & ((1 << (8 * size * max(0, entries))) - 1)


def _ones(entries: int, size: int) -> int:
    return int.from_bytes((b"\1" + b"\0" * (size - 1)) * max(0, entries), "little")


def _unpack(row: int, size: int) -> list[tuple[int, int]]:
    data = row.to_bytes((row.bit_length() + 7) // 8 + size, "little")
    counts = (
        (start // size, int.from_bytes(data[start : start + size], "little"))
        for start in range(0, len(data) - size + 1, size)
    )
    return [(params, count) for params, count in counts if count]
