"""The outline of a graph: its states without the channels that the next layer's output ignores.

A convolution with one group gives the same shapes on whatever channels it gets; only its
parameters grow with them. So a layer of a thousand widths before such a layer has a thousand
states and a million steps in the graph, but one state and a thousand steps in the outline. The
outline counts all designs exactly, and bounds the parameters ahead of a state from below.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from lightsearch.space.outcomes import TooLargeError, ignores_channels
from lightsearch.space.program import Point, Take
from lightsearch.space.transitions import Explorer, State

_Steps: TypeAlias = dict[State, dict[State, tuple[int, int]]]
"""From each blurred state to the next ones: the fewest parameters, and the number of ways."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What is known of a graph before it is built.

    - `total`: how many designs there are, `least`: no design has fewer parameters.
    - `floors`: the paths from a blurred state to the end have at least so many parameters. States
      that lead nowhere have none. `point_floors` are the least of all states of a point.
    """

    total: int
    least: int
    floors: dict[State, int]
    point_floors: dict[Point, int]


def blur(state: State) -> State:
    """Return a state without its channels, if they matter to the next layer's parameters only."""
    point = state.point
    if (
        isinstance(point, Take)
        and not point.closes
        and ignores_channels(point.layer)
        and all(block.passes == 1 for block in state.open)
    ):
        return replace(state, shape=(0, *state.shape[1:]))
    return state


def has_more_edges(explorer: Explorer, first: State, limit: int) -> bool:
    """Whether a short look tells that the graph has more than `limit` edges."""
    return _walk(explorer, first, limit // 20, limit)[1] > limit


def make_outline(
    explorer: Explorer, first: State, ends: Callable[[State], bool], limit: int
) -> Outline:
    """Return the outline of a space. Raises `TooLargeError` if it has more than `limit` steps."""
    steps, _, complete = _walk(explorer, first, limit, math.inf)
    if not complete:
        raise TooLargeError
    return _measure(steps, blur(first), ends)


def _walk(
    explorer: Explorer, first: State, most_steps: int, most_edges: float
) -> tuple[_Steps, int, bool]:
    """Return the steps of the outline, fewer edges than the graph has, and whether that is all."""
    start = blur(first)
    channels: dict[State, set[int]] = {start: {first.shape[0]}}
    waiting, queue = {start.point.index: [start]}, [-start.point.index]
    steps: _Steps = {}
    step_count, edges = 0, 0
    while queue:
        batch = waiting.pop(-heapq.heappop(queue))
        # A state may lead to another of its point, by deciding a count: to one with more bound.
        for blurred in sorted(batch, key=lambda one: len(one.bound)):
            # All states that lead here are known by now, so this one has the fewest parameters.
            state = replace(blurred, shape=(min(channels[blurred]), *blurred.shape[1:]))
            ahead, reached = steps.setdefault(blurred, {}), set[State]()
            for following, params, ways, free in explorer.moves(state):
                reached.add(following)
                to = blur(following)
                if to not in channels:
                    channels[to] = set()
                    if to.point.index not in waiting:
                        waiting[to.point.index] = []
                        heapq.heappush(queue, -to.point.index)
                    waiting[to.point.index].append(to)
                channels[to].add(following.shape[0])
                count = len(ways) * math.prod(options for _, options in free)
                fewest, before = ahead.get(to, (params, 0))
                ahead[to] = min(params, fewest), count + before
            step_count += len(reached)
            edges += len(reached) * len(channels[blurred])
            if step_count > most_steps or edges > most_edges:
                return steps, edges, False
    return steps, edges, True


def _measure(steps: _Steps, start: State, ends: Callable[[State], bool]) -> Outline:
    """Return the totals and the bounds that the steps give, from the last state to the first."""
    totals: dict[State, int] = {}
    floors: dict[State, int] = {}
    point_floors: dict[Point, int] = {}
    for state in reversed(steps):
        live = [(to, *step) for to, step in steps[state].items() if to in floors]
        if ends(state):
            totals[state], floors[state] = 1, 0
        elif live:
            totals[state] = sum(count * totals[to] for to, _, count in live)
            floors[state] = min(params + floors[to] for to, params, _ in live)
        else:
            continue
        point = state.point
        point_floors[point] = min(floors[state], point_floors.get(point, floors[state]))
    return Outline(totals.get(start, 0), floors.get(start, 0), floors, point_floors)
