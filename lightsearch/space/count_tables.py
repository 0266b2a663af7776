"""Tables of a graph that say how many designs have at most so many parameters."""

from __future__ import annotations

import functools
import itertools
from bisect import bisect_right
from dataclasses import dataclass

from lightsearch.space.graph import Graph
from lightsearch.space.polynomials import Plan, Row, make_plan, make_rows

_BLOCK = 256  # coefficients that are summed at once: their integer stays in the first cache


@dataclass(frozen=True, slots=True)
class PackedSums:
    """Sums of coefficients, of `size` bytes each, up to `first` and every `stride` further on."""

    first: int
    stride: int
    size: int
    sums: bytes

    def count(self, room: int) -> int:
        place = (room - self.first) // self.stride
        start = min(place * self.size, len(self.sums) - self.size)
        return 0 if start < 0 else int.from_bytes(self.sums[start : start + self.size], "big")


@dataclass(frozen=True, slots=True)
class SparseSums:
    """Sums of coefficients up to each exponent that has one, after a leading zero."""

    exponents: list[int]
    sums: list[int]

    def count(self, room: int) -> int:
        return self.sums[bisect_right(self.exponents, room)]


@dataclass(frozen=True, slots=True)
class CountTables:
    """For each class and each r, how many paths to the end have at most r units of parameters."""

    rows: list[PackedSums | SparseSums]

    def count(self, number: int, room: int) -> int:
        return self.rows[number].count(room)


def tabulate(graph: Graph, cap: int, unit: int = 1) -> CountTables | None:
    """Return the tables for paths of at most `cap` units, or None if they are too large.

    A unit is `unit` parameters, and each step's parameters are rounded to units.
    """
    plan = make_plan(graph, cap, unit)
    return _make_tables(graph, cap, unit) if plan.is_tabulable() else None


@functools.lru_cache(maxsize=1)  # a search surveys its space, and draws from it twice over
def _make_tables(graph: Graph, cap: int, unit: int) -> CountTables:
    plan = make_plan(graph, cap, unit)
    return CountTables([_sum_up(plan, n, row) for n, row in enumerate(make_rows(plan))])


def _sum_up(plan: Plan, number: int, row: Row) -> PackedSums | SparseSums:
    """Return the sums of a polynomial's coefficients up to each exponent."""
    if isinstance(row, dict):
        exponents = sorted(row)
        sums = itertools.accumulate((row[exponent] for exponent in exponents), initial=0)
        return SparseSums(exponents, list(sums))
    size, length = plan.size, plan.spread(number)
    width, bits = size * _BLOCK, 8 * size
    data = row.to_bytes(length, "big")
    ones = int.from_bytes((bytes(size - 1) + b"\1") * _BLOCK, "big")
    blocks, before = list[bytes](), 0
    for start in range(0, length, width):
        taken = min(width, length - start)
        block, reach = int.from_bytes(data[start : start + taken], "big"), 1
        while reach < _BLOCK:  # each coefficient takes in the sum of as many before it
            block += block >> (bits * reach)
            reach *= 2
        block += before * (ones >> (8 * (width - taken)))
        blocks.append(block.to_bytes(taken, "big"))
        before = block & ((1 << bits) - 1)
    return PackedSums(plan.first[number], plan.stride, size, b"".join(blocks))
