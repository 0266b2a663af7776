"""The states that a space can be in while it is decoded, and what leads from one to the next.

A state is (point, shape, what the named choices that still matter were decided to be, inputs of
the residuals that are open). Paths from the start to the end are the assignments of active
decisions, one for one, so all counting is done on this graph. States from which the same can
follow, at the same cost, share one class: far fewer of them, and tables are made for classes.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lightsearch.shapes import Shape
from lightsearch.space.program import End, Program
from lightsearch.space.transitions import Decisions, Explorer, State, TooLargeError


@dataclass(frozen=True, slots=True)
class Edge:
    """A step to another node: `count` ways to take it, all with the same parameters.

    A way is one of `ways` together with one option of each of the `free` choices, which are given
    by key and number of options.
    """

    target: int
    params: int
    count: int
    ways: tuple[Decisions, ...]
    free: Decisions

    def decisions(self, path: str, number: int) -> Iterator[tuple[str, int]]:
        """What way `number` decides, as a record has it."""
        number, index = divmod(number, len(self.ways))
        for key, option in self.ways[index]:
            yield (key if key[:1].isalpha() else path + key), option
        for key, options in self.free:
            number, option = divmod(number, options)
            yield (key if key[:1].isalpha() else path + key), option


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes with their edges, and their classes.

    Per node: `paths`, `edges` (none to dead ends) and `classes` (-1 for a dead end). Per class:
    `steps` (class, parameters, count; to lower classes only), `totals` (paths to the end), `low`
    and `high` (fewest and most parameters of those paths).

    Class 0 is the end; node 0 is the start.
    """

    paths: list[str]
    edges: list[tuple[Edge, ...]]
    classes: list[int]
    steps: list[tuple[tuple[int, int, int], ...]]
    totals: list[int]
    low: list[int]
    high: list[int]

    @property
    def start(self) -> int:
        """The class of the start, -1 if no path leads to the end."""
        return self.classes[0]

    @property
    def total(self) -> int:
        return self.totals[self.start] if self.start >= 0 else 0


def explored(program: Program, shape: Shape, classes: int | None, limit: int) -> Graph:
    """The graph of a program on inputs of `shape`.

    Raises `TooLargeError` when it would have more than `limit` edges.
    """
    explorer = Explorer(program, limit)
    first = State(program.start, shape, (), ())
    numbers, states, edges, order = {first: 0}, [first], {}, []
    waiting, queue, made = {first.point.index: [0]}, [-first.point.index], 0
    while queue:
        for node in waiting.pop(-heapq.heappop(queue)):
            order.append(node)
            merged: dict[tuple[int, int, Decisions], list[Decisions]] = {}
            for state, params, ways, free in explorer.moves(states[node]):
                if state not in numbers:
                    numbers[state] = len(states)
                    states.append(state)
                    place = state.point.index
                    if place not in waiting:
                        waiting[place] = []
                        heapq.heappush(queue, -place)
                    waiting[place].append(numbers[state])
                merged.setdefault((numbers[state], params, free), []).extend(ways)
            edges[node] = tuple(
                Edge(target, params, len(ways) * math.prod(n for _, n in free), tuple(ways), free)
                for (target, params, free), ways in merged.items())
            made += len(merged)
            if made > limit:
                raise TooLargeError
    ends = {node for node, state in enumerate(states) if isinstance(state.point, End)
            and (program.shapeless or classes is None or state.shape == (classes, 1, 1))}
    return _classified([state.point.path for state in states], edges, order, ends)


def _classified(paths: list[str], edges: dict[int, tuple[Edge, ...]], order: list[int],
                ends: set[int]) -> Graph:
    graph = Graph(paths, [()] * len(paths), [-1] * len(paths), [()], [1], [0], [0])
    known: dict[Any, int] = {}
    for node in reversed(order):
        if node in ends:
            graph.classes[node] = 0
            continue
        alive = tuple(edge for edge in edges[node] if graph.classes[edge.target] >= 0)
        if not alive:
            continue
        graph.edges[node] = alive
        steps: dict[tuple[int, int], int] = {}
        for edge in alive:
            key = graph.classes[edge.target], edge.params
            steps[key] = steps.get(key, 0) + edge.count
        same = tuple(sorted((*key, count) for key, count in steps.items()))
        if len(same) == 1 and same[0][1:] == (0, 1):  # nothing happens here
            graph.classes[node] = same[0][0]
            continue
        if same not in known:
            known[same] = len(graph.steps)
            graph.steps.append(same)
            graph.totals.append(sum(count * graph.totals[to] for to, _, count in same))
            graph.low.append(min(params + graph.low[to] for to, params, _ in same))
            graph.high.append(max(params + graph.high[to] for to, params, _ in same))
        graph.classes[node] = known[same]
    return graph
