"""The steps from a state of decoding: the options of a choice, the outcomes of a layer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from lightsearch.design.choice import Choice
from lightsearch.design.decoding import named_choices
from lightsearch.design.layers import Loop
from lightsearch.design.parts import Layer
from lightsearch.shapes import Shape
from lightsearch.space.outcomes import Bound, Decisions, Outcomes
from lightsearch.space.program import (
    Enter,
    Fork,
    Point,
    Program,
    Take,
    Turn,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A residual, a loop or branches being decided: its input, what it does with the body.

    `first` is the output of the first branch while the second one is decided.
    """

    source: Shape
    empty: bool = True  # whether the body has no layer so far
    passes: int = 1
    share: str = "all"
    first: Shape | None = None


@dataclass(frozen=True, slots=True)
class State:
    """The part of decoding's state that the next steps depend on."""

    point: Point
    shape: Shape
    bound: Bound
    open: tuple[Block, ...]


Moves: TypeAlias = Iterator[tuple[State, int, tuple[Decisions, ...], Decisions]]


class Explorer:
    """Finds the steps from a state."""

    def __init__(self, program: Program, limit: int, most: float = math.inf) -> None:
        self.program = program
        self.outcomes = Outcomes(program, limit, most)
        self.names: dict[Layer, frozenset[str]] = {}

    def moves(self, state: State, most: float = math.inf) -> Moves:
        """Yield each next state, the parameters up to it, the ways and the free choices.

        Layers of more than `most` parameters are left out.
        """
        point = state.point
        if isinstance(point, Take):
            yield from self._take(state, point, most)
        elif isinstance(point, Enter):
            yield from self._enter(state, point)
        elif isinstance(point, Fork):
            yield from self._fork(state, point)
        elif isinstance(point, Turn):
            yield from self._turn(state, point)

    def _enter(self, state: State, point: Enter) -> Moves:
        if self.program.shapeless:
            yield _move_to(state, point.body, state.bound), 0, ((),), ()
            return
        if point.turns:
            block = replace(state.open[-1], first=state.shape)
            turned = replace(state, shape=block.source, open=(*state.open[:-1], block))
            yield _move_to(turned, point.body, state.bound), 0, ((),), ()
            return
        decided: list[tuple[dict[str, Any], Decisions, Bound]] = [({}, (), state.bound)]
        for name in ("passes", "share") if isinstance(point.layer, Loop) else ():
            value = getattr(point.layer, name)
            decided = [
                ({**known, name: option}, (*before, *decisions), after)
                for known, before, bound in decided
                for option, decisions, after in _list_values(value, f".{name}", bound)
            ]
        for known, decisions, bound in decided:
            inside = replace(state, open=(*state.open, Block(state.shape, **known)))
            yield _move_to(inside, point.body, bound), 0, (decisions,), ()

    def _fork(self, state: State, point: Fork) -> Moves:
        for index, decisions, bound in _list_options(point.choice, "", state.bound):
            yield _move_to(state, point.ways[index], bound), 0, (decisions,), ()

    def _turn(self, state: State, point: Turn) -> Moves:
        choice = point.choice
        if choice.name and choice.name not in dict(state.bound):
            for _, decisions, bound in _list_options(choice, "", state.bound):
                yield _move_to(state, point, bound), 0, (decisions,), ()
            return
        ends = {
            choice.options[index]: decisions
            for index, decisions, _ in _list_options(choice, ".times", state.bound)
        }
        if point.turn in ends:
            yield _move_to(state, point.after, state.bound), 0, (ends[point.turn],), ()
        if point.body is not None and max(ends) > point.turn:
            yield _move_to(state, point.body, state.bound), 0, ((),), ()

    def _take(self, state: State, point: Take, most: float) -> Moves:
        blocks, source, layer = state.open, state.shape, point.layer
        body: tuple[Shape, ...] | None = None
        if point.closes and not self.program.shapeless:
            block, blocks = blocks[-1], blocks[:-1]
            body = (state.shape,) if block.first is None else (block.first, state.shape)
            source = block.source
            if block.empty or (block.passes > 1 and body != (source,)):
                return
        if blocks and blocks[-1].empty:
            blocks = (*blocks[:-1], replace(blocks[-1], empty=False))
        if body is not None and isinstance(layer, Loop):  # all else was decided at its start
            yield _move_to(replace(state, open=blocks), point.after, state.bound), 0, ((),), ()
            return
        loops = tuple((one.passes, one.share) for one in reversed(blocks) if one.passes > 1)
        if layer not in self.names:
            self.names[layer] = _find_names(layer)
        bound = tuple(pair for pair in state.bound if pair[0] in self.names[layer])
        outcomes, free = self.outcomes.find(layer, source, body, bound, loops)
        for outcome in outcomes:
            if outcome.params > most:
                continue
            after = tuple(sorted({**dict(state.bound), **dict(outcome.bound)}.items()))
            bound = _keep_live(after, point.after)
            following = State(point.after, outcome.shape, bound, blocks)
            yield following, outcome.params, outcome.ways, free


def _find_names(layer: Layer) -> frozenset[str]:
    return frozenset(named_choices(layer))


def _list_values(value: Any, key: str, bound: Bound) -> Iterator[tuple[Any, Decisions, Bound]]:
    """Yield each possible value of a field, with its decisions and the named choices after it."""
    if not isinstance(value, Choice):
        yield value, (), bound
        return
    for index, decisions, after in _list_options(value, key, bound):
        yield value.options[index], decisions, after


def _list_options(
    choice: Choice, key: str, bound: Bound
) -> Iterator[tuple[int, Decisions, Bound]]:
    """Yield each possible option: its index, its decisions, and the named choices after it."""
    known = dict(bound).get(choice.name) if choice.name else None
    if known is not None:
        yield known, (), bound
        return
    for index in range(len(choice.options)):
        now = tuple(sorted((*bound, (choice.name, index)))) if choice.name else bound
        yield index, ((choice.name or key, index),), now


def _keep_live(bound: Bound, point: Point) -> Bound:
    return tuple(pair for pair in bound if pair[0] in point.live)


def _move_to(state: State, point: Point, bound: Bound) -> State:
    return State(point, state.shape, _keep_live(bound, point), state.open)
