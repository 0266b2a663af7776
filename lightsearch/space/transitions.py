"""The steps from a state of decoding: the options of a choice, the outcomes of a layer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from lightsearch.design.choice import Choice
from lightsearch.design.decoding import decode, enumerate_choices, fill_fields, named_choices
from lightsearch.design.fields import integer
from lightsearch.design.parts import Layer, Seq
from lightsearch.errors import DesignError
from lightsearch.network.lowering import lower, register_cost
from lightsearch.network.operations import Local
from lightsearch.shapes import Shape
from lightsearch.space.program import (
    Enter,
    Fork,
    Point,
    Program,
    Take,
    Turn,
    field_choices,
    has_opaque_body,
)

Decisions: TypeAlias = tuple[tuple[str, int], ...]
"""Decisions: (name of a choice or the rest of its path, index of the option)."""

Bound: TypeAlias = tuple[tuple[str, int], ...]
"""The decisions of named choices, sorted by name."""

_ANY_OPTION = -1  # the choice is made, and its option makes no difference


class TooLargeError(Exception):
    """The graph would have too many edges. Only `lightsearch.space` sees this error."""


@dataclass(frozen=True, slots=True, repr=False)
class _FixedShape(Layer):
    """A layer without parameters that has a given output shape. It replaces a residual's body."""

    channels: int = integer()
    height: int = integer()
    width: int = integer()


register_cost(_FixedShape, lambda layer, shape: Local((layer.channels, layer.height, layer.width)))


@dataclass(frozen=True, slots=True)
class State:
    """The part of decoding's state that the next steps depend on."""

    point: Point
    shape: Shape
    bound: Bound
    open: tuple[tuple[Shape, bool], ...]  # each open residual's input; whether its body is empty


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One outcome of a layer, the same wherever in the space it stands."""

    bound: Bound  # the named choices that it decides
    shape: Shape
    params: int
    ways: tuple[Decisions, ...]


_Way: TypeAlias = tuple[Decisions, dict[str, int], Shape, int]
_Moves: TypeAlias = Iterator[tuple[State, int, tuple[Decisions, ...], Decisions]]


class Explorer:
    """Finds the steps from a state. Equal layers on equal inputs share their outcomes."""

    def __init__(self, program: Program, limit: int) -> None:
        self.program = program
        self.tries_left = 4 * limit  # layers to try, which become fewer edges
        self.known: dict[Any, tuple[list[_Outcome], Decisions]] = {}
        self.names: dict[Layer, frozenset[str]] = {}

    def moves(self, state: State) -> _Moves:
        """Yield each next state, the parameters up to it, the ways and the free choices."""
        point = state.point
        if isinstance(point, Take):
            yield from self._take(state, point)
        elif isinstance(point, Enter):
            residuals = state.open
            if not self.program.shapeless:
                residuals = (*residuals, (state.shape, True))
            yield State(point.body, state.shape, state.bound, residuals), 0, ((),), ()
        elif isinstance(point, Fork):
            yield from self._fork(state, point)
        elif isinstance(point, Turn):
            yield from self._turn(state, point)

    def _fork(self, state: State, point: Fork) -> _Moves:
        for index, decisions, bound in _list_options(point.choice, "", state.bound):
            yield _move_to(state, point.ways[index], bound), 0, (decisions,), ()

    def _turn(self, state: State, point: Turn) -> _Moves:
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

    def _take(self, state: State, point: Take) -> _Moves:
        residuals, body, source = state.open, None, state.shape
        if point.closes and not self.program.shapeless:
            (source, empty), residuals, body = residuals[-1], residuals[:-1], state.shape
            if empty:
                return
        if residuals and residuals[-1][1]:
            residuals = (*residuals[:-1], (residuals[-1][0], False))
        layer = point.layer
        if layer not in self.names:
            self.names[layer] = _find_names(layer)
        bound = tuple(pair for pair in state.bound if pair[0] in self.names[layer])
        key = layer, source, body, bound
        if key not in self.known:
            self.known[key] = self._find_outcomes(layer, source, body, dict(bound))
        outcomes, free = self.known[key]
        for outcome in outcomes:
            after = tuple(sorted({**dict(state.bound), **dict(outcome.bound)}.items()))
            bound = _keep_live(after, point.after)
            following = State(point.after, outcome.shape, bound, residuals)
            yield following, outcome.params, outcome.ways, free

    def _find_outcomes(
        self, layer: Layer, source: Shape, body: Shape | None, bound: dict[str, int]
    ) -> tuple[list[_Outcome], Decisions]:
        if has_opaque_body(layer) and not self.program.shapeless:
            return _group_outcomes(self._try_opaque(layer, source, bound)), ()
        tried, free, free_names = self._sort_choices(layer, bound)
        ways = self._try_options(layer, source, body, bound, tried)
        outcomes = _group_outcomes(
            (decisions, new | free_names, shape, params) for decisions, new, shape, params in ways
        )
        return outcomes, tuple(free)

    def _sort_choices(
        self,
        layer: Layer,
        bound: dict[str, int],
    ) -> tuple[dict[str, Choice], list[tuple[str, int]], dict[str, int]]:
        """Return the choices to try, the free ones by number of options, and the named free."""
        tried: dict[str, Choice] = {}
        free: dict[str, int] = {}
        free_names: dict[str, int] = {}
        for name, choice in field_choices(layer):
            key = choice.name or f".{name}"
            if choice.name in self.program.decisive or (
                choice.name is None and name not in self.program.free(layer)
            ):
                if key not in bound:
                    tried[key] = choice
            elif key not in bound:
                free[key] = len(choice.options)
                if choice.name:
                    free_names[key] = _ANY_OPTION
        return tried, list(free.items()), free_names

    def _try_options(
        self,
        layer: Layer,
        source: Shape,
        body: Shape | None,
        bound: dict[str, int],
        tried: dict[str, Choice],
    ) -> Iterator[_Way]:
        fields = [(choice.name or f".{name}", choice) for name, choice in field_choices(layer)]
        bodies = () if body is None else (Seq((_FixedShape(*body),)),)
        self._spend_tries(math.prod(len(choice.options) for choice in tried.values()))
        for indices in itertools.product(*(range(len(c.options)) for c in tried.values())):
            indices_by_key = dict(zip(tried, indices, strict=True))
            new = {key: index for key, index in indices_by_key.items() if key[0] != "."}
            decisions = tuple(indices_by_key.items())
            if self.program.shapeless:
                yield decisions, new, source, 0
                continue
            values = tuple(
                choice.options[max(0, indices_by_key.get(key, bound.get(key, 0)))]
                for key, choice in fields
            )
            try:
                chosen = (*bodies, *values)
                step = lower(fill_fields(layer, chosen) if chosen else layer, source)
            except DesignError:
                continue
            yield decisions, new, step.shape, step.params

    def _spend_tries(self, tries: int) -> None:
        self.tries_left -= tries
        if self.tries_left < 0:
            raise TooLargeError

    def _try_opaque(self, layer: Layer, source: Shape, bound: dict[str, int]) -> Iterator[_Way]:
        """Yield every way to decide a layer that may use its body in any way."""

        def make(choose: Any) -> Any:
            try:
                return lower(decode(Seq((layer,)), choose).parts[0], source)
            except DesignError:
                return None

        for record, step in enumerate_choices(make):
            self._spend_tries(1)
            names = {key: index for key, index in record.items() if key[0] != "["}
            if step is None or any(bound.get(key, index) != index for key, index in names.items()):
                continue
            decisions = tuple(
                (key.removeprefix("[0]"), index)
                for key, index in record.items()
                if key not in bound
            )
            new = {key: index for key, index in names.items() if key not in bound}
            yield decisions, new, step.shape, step.params


def _find_names(layer: Layer) -> frozenset[str]:
    return frozenset(named_choices(layer))


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


def _group_outcomes(ways: Iterable[_Way]) -> list[_Outcome]:
    groups: dict[tuple[Bound, Shape, int], list[Decisions]] = {}
    for decisions, new, shape, params in ways:
        groups.setdefault((tuple(sorted(new.items())), shape, params), []).append(decisions)
    return [_Outcome(*key, tuple(group)) for key, group in groups.items()]
