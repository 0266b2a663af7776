"""Counts of designs by parameters, as polynomials: sparse, or packed into Python's integers.

The number of designs with p parameters is the coefficient of x^p. Where few of the coefficients
are not zero, a polynomial is a dictionary {p: coefficient}. Elsewhere each coefficient takes a
fixed number of bytes, so a polynomial is one long integer (Kronecker substitution): a sum is one
addition, a product with x^p is one shift. Both are exact. The fewest parameters come first, in
the highest bits, so that a shift to the right drops what is beyond the cap. Each class of a graph
takes the cheaper one, so that two widths far apart cost no more than two close ones. Where all
widths are multiples of 8, so are the differences of parameters: only every 8th coefficient is
packed.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from lightsearch.space.graph import Graph

WORK = 10_000_000_000
"""The most bytes to shift and add for one set of tables: about 5 seconds (measured)."""

LIGHT = 20
"""A histogram beyond the budget, which is only looked at, may take 1 / `LIGHT` of `WORK`."""

COARSE = 10
"""Tables in units of several parameters may take 1 / `COARSE` of `WORK` and of `MEMORY`."""

MEMORY = 1_000_000_000
"""The most bytes that a sampler's tables may take."""

ENTRY = 500
"""A coefficient of a dictionary costs as much as so many packed bytes (measured: 0.25 us)."""

Row: TypeAlias = dict[int, int] | int
"""A polynomial: {exponent: coefficient}, or packed, the most parameters in the lowest bits."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the polynomials of a graph's classes will take, up to a cap.

    Parameters are in units of `unit`. Class n has paths of `first[n]` to `last[n]` units, `stride`
    apart, and at most `most[n]` different numbers of them. `last[n]` is less than `first[n]` if no
    path through the class stays within the cap. A packed coefficient has `size` bytes.
    """

    graph: Graph
    unit: int
    stride: int
    size: int
    first: list[int]
    last: list[int]
    most: list[int]

    def spread(self, number: int) -> int:
        """Return the bytes of the packed polynomial of a class."""
        return self.size * self.places(number)

    def places(self, number: int) -> int:
        """Return the number of coefficients of the packed polynomial of a class."""
        return max(0, 1 + (self.last[number] - self.first[number]) // self.stride)

    def is_affordable(self, work: int, memory: int) -> bool:
        """Whether all polynomials take at most `work`, and those needed at once fit `memory`."""
        uses, done, held = _count_uses(self.graph), 0, 0
        kept = [min(ENTRY * most, self.spread(n)) for n, most in enumerate(self.most)]
        for number, steps in enumerate(self.graph.steps):
            packed = self.spread(number) * len(steps)
            if packed:
                done += min(ENTRY * sum(self.most[to] for to, _, _ in steps), packed)
            held += kept[number]
            if done > work or held > memory:
                return False
            held -= sum(kept[to] for to in _release(uses, steps))
        return True

    def is_tabulable(self) -> bool:
        """Whether tables of all classes are affordable. Inexact ones may take less."""
        part = 1 if self.unit == 1 else COARSE
        total = sum(min(ENTRY * most, self.spread(n)) for n, most in enumerate(self.most))
        return total <= MEMORY // part and self.is_affordable(WORK // part, MEMORY)


def coefficient_size(graph: Graph) -> int:
    """Return the bytes for a coefficient. No class has more paths than the start."""
    return max(1, (graph.total.bit_length() + 7) // 8)


def round_params(params: int, unit: int) -> int:
    """Return parameters in units, rounded to the nearest."""
    return (params + unit // 2) // unit


@functools.lru_cache(maxsize=1)  # asked for with many caps in a row
def _find_extremes(graph: Graph, unit: int) -> tuple[list[int], list[int], int]:
    """Return for each class the fewest and the most units of its paths, and the stride of all."""
    low, high, stride = [0], [0], 0
    for steps in graph.steps[1:]:
        ahead = [(round_params(params, unit), to) for to, params, _ in steps]
        low.append(min(units + low[to] for units, to in ahead))
        high.append(max(units + high[to] for units, to in ahead))
        stride = math.gcd(stride, *(units + low[to] - low[-1] for units, to in ahead))
    return low, high, max(1, stride)


def make_plan(graph: Graph, cap: int, unit: int = 1) -> Plan:
    """Return the plan for paths of at most `cap` units."""
    low, high, stride = _find_extremes(graph, unit)
    room = [-1] * len(graph.steps)  # the most units that may be left when a class is reached
    room[graph.start] = max(-1, cap)
    for number in range(graph.start, 0, -1):
        if room[number] < low[number]:  # no path from here fits, so none from the next ones does
            continue
        for to, params, _ in graph.steps[number]:
            left = room[number] - (params if unit == 1 else round_params(params, unit))
            if left > room[to]:
                room[to] = left
    last = [min(pair) for pair in zip(room, high, strict=True)]
    most: list[int] = []
    for number, steps in enumerate(graph.steps):
        most.append(max(0, min(1 + (last[number] - low[number]) // stride, graph.totals[number])))
        if steps and most[-1]:
            most[-1] = min(most[-1], sum(most[to] for to, _, _ in steps))
    return Plan(graph, unit, stride, coefficient_size(graph), low, last, most)


def count_by_params(graph: Graph, cap: int) -> list[tuple[int, int]]:
    """Return (parameters, number of designs) of all designs with at most `cap` parameters."""
    plan = make_plan(graph, cap)
    row = next(itertools.islice(make_rows(plan), graph.start, None))
    return sorted(_list_terms(plan, graph.start, row))


def find_affordable_cap(graph: Graph, within: int | None) -> int:
    """Return a number of parameters up to which `count_by_params` is affordable.

    To show all designs of at most `within` parameters it may take long, otherwise only a little.
    """
    low, high = graph.low[graph.start], graph.high[graph.start]
    if _can_count(graph, high, LIGHT):
        return high
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _can_count(graph, middle, LIGHT) else (low, middle - 1)
    return within if within and within > low and _can_count(graph, within, 1) else low


def _can_count(graph: Graph, cap: int, part: int) -> bool:
    return make_plan(graph, cap).is_affordable(WORK // part, MEMORY // part)


def _count_uses(graph: Graph) -> list[int]:
    """Return how many steps lead to each class."""
    uses = [0] * len(graph.steps)
    for steps in graph.steps:
        for to, _, _ in steps:
            uses[to] += 1
    return uses


def _release(uses: list[int], steps: tuple[tuple[int, int, int], ...]) -> Iterator[int]:
    """Count the uses of `steps` down. Yield each class that no later step leads to."""
    for to, _, _ in steps:
        uses[to] -= 1
        if not uses[to]:
            yield to


def make_rows(plan: Plan) -> Iterator[Row]:
    """Yield the polynomial of each class in turn. Only those that later ones need are kept."""
    rows, uses = dict[int, Row](), _count_uses(plan.graph)
    for number, steps in enumerate(plan.graph.steps):
        rows[number] = _make_row(plan, rows, number)
        yield rows[number]
        for to in _release(uses, steps):
            del rows[to]


def _make_row(plan: Plan, rows: dict[int, Row], number: int) -> Row:
    """Return the polynomial of a class from those of the classes that its steps lead to."""
    first, last, size = plan.first[number], plan.last[number], plan.size
    if last < first:
        return {}
    if number == 0:
        return {0: 1}
    steps = [
        (to, units, count)
        for to, params, count in plan.graph.steps[number]
        if plan.first[to] + (units := round_params(params, plan.unit)) <= last
    ]
    if ENTRY * sum(_count_terms(plan, to, rows[to]) for to, _, _ in steps) < plan.spread(number):
        return _add_terms(plan, rows, steps, last)
    packed, places, bits = 0, plan.places(number), 8 * size
    for to, units, count in steps:
        row = _pack(plan, to, rows[to])
        before = (plan.first[to] + units - first) // plan.stride
        shift = bits * (places - before - plan.places(to))
        row = row << shift if shift >= 0 else row >> -shift
        packed += row if count == 1 else row * count
    return packed


def _add_terms(
    plan: Plan, rows: dict[int, Row], steps: list[tuple[int, int, int]], last: int
) -> dict[int, int]:
    sums: dict[int, int] = {}
    for to, units, count in steps:
        for exponent, coefficient in _list_terms(plan, to, rows[to]):
            place = exponent + units
            if place <= last:
                sums[place] = sums.get(place, 0) + coefficient * count
    return sums


def _count_terms(plan: Plan, number: int, row: Row) -> int:
    """Return the length of a polynomial: an upper bound, if it is packed."""
    return len(row) if isinstance(row, dict) else plan.places(number)


def _pack(plan: Plan, number: int, row: Row) -> int:
    if isinstance(row, int):
        return row
    size, data = plan.size, bytearray(plan.spread(number))
    for exponent, coefficient in row.items():
        start = size * ((exponent - plan.first[number]) // plan.stride)
        data[start : start + size] = coefficient.to_bytes(size, "big")
    return int.from_bytes(data, "big")


def _list_terms(plan: Plan, number: int, row: Row) -> Iterator[tuple[int, int]]:
    """Yield (exponent, coefficient) of a polynomial, without zeros."""
    if isinstance(row, dict):
        yield from row.items()
        return
    size, data = plan.size, row.to_bytes(plan.spread(number), "big")
    for index in range(plan.places(number)):
        coefficient = int.from_bytes(data[index * size : (index + 1) * size], "big")
        if coefficient:
            yield plan.first[number] + index * plan.stride, coefficient
