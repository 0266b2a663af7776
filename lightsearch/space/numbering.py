"""Numbers for the assignments of a graph, so that a uniform draw is the draw of a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lightsearch.space.count_tables import CountTables, tabulate
from lightsearch.space.graph import Graph
from lightsearch.space.polynomials import round_params


@dataclass(frozen=True, slots=True)
class Numbering:
    """Numbers the assignments from 0 to `total - 1`: the paths of a graph within its room.

    `count(class, room)` returns the number of paths of a class to the end within `room` units of
    `unit` parameters.
    """

    graph: Graph
    count: Callable[[int, int], int]
    room: int
    unit: int = 1

    @property
    def total(self) -> int:
        return self.count(self.graph.start, self.room) if self.graph.start >= 0 else 0

    def decisions(self, number: int) -> dict[str, int]:
        """Return assignment `number`."""
        graph, count, room, node = self.graph, self.count, self.room, 0
        record: dict[str, int] = {}
        while graph.edges[node]:
            for edge in graph.edges[node]:
                left = room - round_params(edge.params, self.unit)
                each = count(graph.classes[edge.target], left)
                if number < each * edge.count:
                    break
                number -= each * edge.count
            way, number = divmod(number, each)
            record.update(edge.decisions(graph.paths[node], way))
            node, room = edge.target, left
        return record


def number_assignments(
    graph: Graph, cap: int | None = None, least: int = 0
) -> tuple[Numbering, bool]:
    """Return the assignments with `least` to `cap` parameters, and True.

    If their tables would be too large, the tables count in the smallest unit of 2, 4, 8, ...
    parameters that they have room for. Then some assignments just outside are numbered too, and
    the second value is False.
    """
    everything = Numbering(graph, lambda number, room: graph.totals[number], 0)
    if graph.start < 0:
        return everything, True
    lowest, highest = graph.low[graph.start], graph.high[graph.start]
    capped, floored = cap is not None and cap < highest, least > lowest
    unit = 1
    while (capped or floored) and unit <= highest:
        low, high = find_rounding(graph, unit)
        below = (least - 1 - high) // unit  # units of too few parameters, however rounded
        top = (cap - low) // unit if capped and cap is not None else below
        tables = tabulate(graph, top, unit)
        if tables is None:
            unit *= 2
        elif not capped:
            return Numbering(graph, _count_above(graph, tables), below, unit), unit == 1
        elif not floored:
            return Numbering(graph, tables.count, top, unit), unit == 1
        else:
            return Numbering(graph, _count_between(tables, top - below), top, unit), unit == 1
    return everything, not (capped or floored)


def _count_above(graph: Graph, tables: CountTables) -> Callable[[int, int], int]:
    return lambda number, room: graph.totals[number] - tables.count(number, room)


def _count_between(tables: CountTables, width: int) -> Callable[[int, int], int]:
    return lambda number, room: tables.count(number, room) - tables.count(number, room - width)


def find_rounding(graph: Graph, unit: int) -> tuple[int, int]:
    """Return the least and the most of parameters less rounded parameters, over all paths."""
    low, high = [0], [0]
    for steps in graph.steps[1:]:
        errors = [(to, params - unit * round_params(params, unit)) for to, params, _ in steps]
        low.append(min(error + low[to] for to, error in errors))
        high.append(max(error + high[to] for to, error in errors))
    return low[graph.start], high[graph.start]


def smallest_assignment(graph: Graph) -> dict[str, int]:
    """Return the first assignment with the fewest parameters."""
    return _find_extreme(graph, min, graph.low)


def largest_assignment(graph: Graph) -> dict[str, int]:
    """Return the first assignment with the most parameters."""
    return _find_extreme(graph, max, graph.high)


def _find_extreme(graph: Graph, pick: Any, ahead: list[int]) -> dict[str, int]:
    node = 0
    record: dict[str, int] = {}
    while graph.edges[node]:
        edge = pick(graph.edges[node], key=lambda e: e.params + ahead[graph.classes[e.target]])
        record.update(edge.decisions(graph.paths[node], 0))
        node = edge.target
    return record


def find_largest(numbering: Numbering) -> tuple[dict[str, int], int]:
    """Return an assignment with the most parameters of those up to a cap, and its parameters.

    The numbering must be exact, without a lower bound, and not empty.
    """
    graph, count, room = numbering.graph, numbering.count, numbering.room
    if numbering.total == graph.total:
        return largest_assignment(graph), graph.high[graph.start]
    low, high = graph.low[graph.start], room
    while low < high:  # the least cap within which there are as many
        middle = (low + high) // 2
        enough = count(graph.start, middle) == numbering.total
        low, high = (low, middle) if enough else (middle + 1, high)
    width = 1 + room - low
    at_the_top = Numbering(graph, lambda to, left: count(to, left) - count(to, left - width), room)
    return at_the_top.decisions(0), low
