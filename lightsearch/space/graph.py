"""The graph of a space: its nodes are the states of decoding, its edges the steps between them.

A state has a point, a shape, the decisions of the named choices that still matter, and the inputs
of the open residuals. Each path from the start to the end is one assignment of active decisions,
so all counting uses this graph. States with equal steps ahead, at equal cost, share a class.
There are far fewer classes than states, and the tables are per class.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lightsearch.shapes import Shape
from lightsearch.space.outcomes import Decisions, TooLargeError
from lightsearch.space.outlining import Outline, blur, has_more_edges, make_outline
from lightsearch.space.program import End, Program, Take
from lightsearch.space.transitions import Explorer, Moves, State


@dataclass(frozen=True, slots=True)
class Edge:
    """A step to another node. There are `count` ways to take it, all with the same parameters.

    A way is one of `ways` and one option of each of the `free` choices. `free` has the key and
    the number of options of each.
    """

    target: int
    params: int
    count: int
    ways: tuple[Decisions, ...]
    free: Decisions

    def decisions(self, path: str, number: int) -> Iterator[tuple[str, int]]:
        """Yield the decisions of way `number`, as a record has them."""
        number, index = divmod(number, len(self.ways))
        for key, option in self.ways[index]:
            yield (key if key[:1].isalpha() else path + key), option
        for key, options in self.free:
            number, option = divmod(number, options)
            yield (key if key[:1].isalpha() else path + key), option


@dataclass(frozen=True, slots=True, eq=False)  # by identity, so that tables can be kept
class Graph:
    """The nodes of a graph, their edges and their classes. Node 0 is the start, class 0 the end.

    - Per node: `paths`, `edges` (none to dead ends) and `classes` (-1 for a dead end).
    - Per class: `steps` (class, parameters, count; to lower classes only), `totals` (paths to the
      end), `low` and `high` (fewest and most parameters of those paths).
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
        """The class of the start, or -1 if no path leads to the end."""
        return self.classes[0]

    @property
    def total(self) -> int:
        return self.totals[self.start] if self.start >= 0 else 0


@dataclass(frozen=True, slots=True, eq=False)  # by identity, as graphs
class Narrow:
    """The part of a graph with all paths of at most `cap` parameters, and a few longer ones.

    If no design has so few, `cap` is higher. `total` is the number of designs in the whole graph.
    """

    graph: Graph
    cap: int
    total: int


def build_graph(program: Program, shape: Shape, classes: int | None, limit: int) -> Graph:
    """Build the graph of a program on inputs of `shape`.

    Raises `TooLargeError` if it would have more than `limit` edges.
    """
    explorer = Explorer(program, limit)
    first, ends = State(program.start, shape, (), ()), _find_ends(program, classes)
    if not program.shapeless and has_more_edges(explorer, first, limit):
        raise TooLargeError
    return _explore(explorer, first, ends, limit)


def build_narrow(
    program: Program, shape: Shape, classes: int | None, limit: int, cap: int
) -> Narrow:
    """Build the part of a graph within a cap on parameters, or around the smallest designs.

    Raises `TooLargeError` if it would have more than `limit` edges.
    """
    explorer = Explorer(program, limit)
    first, ends = State(program.start, shape, (), ()), _find_ends(program, classes)
    outline = make_outline(explorer, first, ends, limit // 2)  # few, or else it is no help
    cap = max(cap, outline.least)
    graph = _explore(Explorer(program, limit, cap), first, ends, limit, outline, cap)
    while outline.total and graph.start < 0:  # the bounds ahead were too low
        cap *= 2
        graph = _explore(Explorer(program, limit, cap), first, ends, limit, outline, cap)
    return Narrow(graph, cap, outline.total)


def _find_ends(program: Program, classes: int | None) -> Callable[[State], bool]:
    """Return whether a state is an end."""
    free = program.shapeless or classes is None
    return lambda state: isinstance(state.point, End) and (free or state.shape == (classes, 1, 1))


def _explore(
    explorer: Explorer,
    first: State,
    ends: Callable[[State], bool],
    limit: int,
    outline: Outline | None = None,
    cap: int = 0,
) -> Graph:
    """Build the graph of all states, or of those on paths within a cap as far as an outline tells.

    Points are visited in their order, so all that leads to a state is known before its steps are.
    """
    numbers, states, edges, order, used = {first: 0}, [first], {}, [], [0]
    waiting, queue, edge_count = {first.point.index: [0]}, [-first.point.index], 0
    while queue:
        batch = waiting.pop(-heapq.heappop(queue))
        # A state may lead to another of its point, by deciding a count: to one with more bound.
        for node in sorted(batch, key=lambda one: len(states[one].bound)):
            order.append(node)
            merged: dict[tuple[int, int, Decisions], list[Decisions]] = {}
            for state, params, ways, free in _list_moves(
                explorer, states[node], outline, cap - used[node]
            ):
                if state not in numbers:
                    numbers[state] = len(states)
                    states.append(state)
                    used.append(used[node] + params)
                    place = state.point.index
                    if place not in waiting:
                        waiting[place] = []
                        heapq.heappush(queue, -place)
                    waiting[place].append(numbers[state])
                used[numbers[state]] = min(used[numbers[state]], used[node] + params)
                merged.setdefault((numbers[state], params, free), []).extend(ways)
            edges[node] = tuple(
                Edge(target, params, len(ways) * math.prod(n for _, n in free), tuple(ways), free)
                for (target, params, free), ways in merged.items()
            )
            edge_count += len(merged)
            if edge_count > limit:
                raise TooLargeError
    final = {node for node, state in enumerate(states) if ends(state)}
    return _classify([state.point.path for state in states], edges, order, final)


def _list_moves(explorer: Explorer, state: State, outline: Outline | None, room: int) -> Moves:
    """Yield the moves from a state: all, or those after which a path may end within the room."""
    if outline is None:
        yield from explorer.moves(state)
        return
    most: float = room
    if isinstance(state.point, Take):
        most -= outline.point_floors.get(state.point.after, math.inf)
    for move in explorer.moves(state, most):
        floor = outline.floors.get(blur(move[0]))
        if floor is not None and move[1] + floor <= room:
            yield move


def _classify(
    paths: list[str], edges: dict[int, tuple[Edge, ...]], order: list[int], ends: set[int]
) -> Graph:
    graph = Graph(paths, [()] * len(paths), [-1] * len(paths), [()], [1], [0], [0])
    known: dict[Any, int] = {}
    for node in reversed(order):
        if node in ends:
            graph.classes[node] = 0
            continue
        live_edges = tuple(edge for edge in edges[node] if graph.classes[edge.target] >= 0)
        if not live_edges:
            continue
        graph.edges[node] = live_edges
        steps: dict[tuple[int, int], int] = {}
        for edge in live_edges:
            key = graph.classes[edge.target], edge.params
            steps[key] = steps.get(key, 0) + edge.count
        class_steps = tuple(sorted((*key, count) for key, count in steps.items()))
        if len(class_steps) == 1 and class_steps[0][1:] == (0, 1):  # one free way on
            graph.classes[node] = class_steps[0][0]
            continue
        if class_steps not in known:
            known[class_steps] = len(graph.steps)
            graph.steps.append(class_steps)
            graph.totals.append(sum(count * graph.totals[to] for to, _, count in class_steps))
            graph.low.append(min(params + graph.low[to] for to, params, _ in class_steps))
            graph.high.append(max(params + graph.high[to] for to, params, _ in class_steps))
        graph.classes[node] = known[class_steps]
    return graph
