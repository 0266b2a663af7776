"""What can follow a state of decoding: the options of a choice, the outcomes of a layer."""

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
    is_opaque,
)

Decisions: TypeAlias = tuple[tuple[str, int], ...]
"""What is decided: (name of a choice, or the rest of its path; index)."""

Bound: TypeAlias = tuple[tuple[str, int], ...]
"""Named choices with what they were decided to be, sorted by name."""

_UNTOLD = -1  # decided, but to which option makes no difference


class TooLargeError(Exception):
    """The graph would have more edges than allowed. Never leaves `lightsearch.space`."""


@dataclass(frozen=True, slots=True, repr=False)
class _Shaped(Layer):
    """A layer that gives a wanted shape for nothing: stands for a residual's body in `lower`."""

    channels: int = integer()
    height: int = integer()
    width: int = integer()


register_cost(_Shaped, lambda layer, shape: Local((layer.channels, layer.height, layer.width)))


@dataclass(frozen=True, slots=True)
class State:
    """Where decoding stands, as far as it matters for what follows."""

    point: Point
    shape: Shape
    bound: Bound
    open: tuple[tuple[Shape, bool], ...]  # input of each open residual, and if its body is empty


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What taking a layer may come to, wherever in the space it stands."""

    bound: Bound  # what was decided on the way
    shape: Shape
    params: int
    ways: tuple[Decisions, ...]


_Found: TypeAlias = tuple[Decisions, dict[str, int], Shape, int]
_Moves: TypeAlias = Iterator[tuple[State, int, tuple[Decisions, ...], Decisions]]


class Explorer:
    """Finds what follows a state; the outcomes of equal layers on equal inputs are shared."""

    def __init__(self, program: Program, limit: int) -> None:
        self.program = program
        self.left = 4 * limit  # layers to try; made into fewer edges
        self.known: dict[Any, tuple[list[_Outcome], Decisions]] = {}
        self.names: dict[Layer, frozenset[str]] = {}

    def moves(self, state: State) -> _Moves:
        """Each next state, the parameters on the way to it, the ways and the free choices."""
        point = state.point
        if isinstance(point, Take):
            yield from self._taken(state, point)
        elif isinstance(point, Enter):
            opened = state.open if self.program.shapeless else (*state.open, (state.shape, True))
            yield State(point.body, state.shape, state.bound, opened), 0, ((),), ()
        elif isinstance(point, Fork):
            yield from self._forked(state, point)
        elif isinstance(point, Turn):
            yield from self._turned(state, point)

    def _forked(self, state: State, point: Fork) -> _Moves:
        for index, made, bound in _asked(point.choice, "", state.bound):
            yield _moved(state, point.ways[index], bound), 0, (made,), ()

    def _turned(self, state: State, point: Turn) -> _Moves:
        choice = point.choice
        if choice.name and choice.name not in dict(state.bound):
            for _, made, bound in _asked(choice, "", state.bound):
                yield _moved(state, point, bound), 0, (made,), ()
            return
        ends = {choice.options[index]: made
                for index, made, _ in _asked(choice, ".times", state.bound)}
        if point.turn in ends:
            yield _moved(state, point.after, state.bound), 0, (ends[point.turn],), ()
        if point.body is not None and max(ends) > point.turn:
            yield _moved(state, point.body, state.bound), 0, ((),), ()

    def _taken(self, state: State, point: Take) -> _Moves:
        opened, body, source = state.open, None, state.shape
        if point.closes and not self.program.shapeless:
            (source, empty), opened, body = opened[-1], opened[:-1], state.shape
            if empty:
                return
        if opened and opened[-1][1]:
            opened = (*opened[:-1], (opened[-1][0], False))
        layer = point.layer
        if layer not in self.names:
            self.names[layer] = _names(layer)
        bound = tuple(pair for pair in state.bound if pair[0] in self.names[layer])
        key = layer, source, body, bound
        if key not in self.known:
            self.known[key] = self._outcomes(layer, source, body, dict(bound))
        outcomes, free = self.known[key]
        for outcome in outcomes:
            after = tuple(sorted({**dict(state.bound), **dict(outcome.bound)}.items()))
            then = State(point.after, outcome.shape, _still(after, point.after), opened)
            yield then, outcome.params, outcome.ways, free

    def _outcomes(self, layer: Layer, source: Shape, body: Shape | None,
                  bound: dict[str, int]) -> tuple[list[_Outcome], Decisions]:
        if is_opaque(layer) and not self.program.shapeless:
            return _grouped(self._tried(layer, source, bound)), ()
        told, free, untold = self._variables(layer, bound)
        ways = self._product(layer, source, body, bound, told)
        found = _grouped((decisions, new | untold, shape, params)
                         for decisions, new, shape, params in ways)
        return found, tuple(free)

    def _variables(self, layer: Layer, bound: dict[str, int],
                   ) -> tuple[dict[str, Choice], list[tuple[str, int]], dict[str, int]]:
        """The choices to try, the free ones with their options, the free ones that have names."""
        told: dict[str, Choice] = {}
        free: dict[str, int] = {}
        untold: dict[str, int] = {}
        for name, choice in field_choices(layer):
            key = choice.name or f".{name}"
            if choice.name in self.program.weighty or (
                    choice.name is None and name not in self.program.free(layer)):
                if key not in bound:
                    told[key] = choice
            elif key not in bound:
                free[key] = len(choice.options)
                if choice.name:
                    untold[key] = _UNTOLD
        return told, list(free.items()), untold

    def _product(self, layer: Layer, source: Shape, body: Shape | None, bound: dict[str, int],
                 told: dict[str, Choice]) -> Iterator[_Found]:
        fields = [(choice.name or f".{name}", choice) for name, choice in field_choices(layer)]
        lead = () if body is None else (Seq((_Shaped(*body),)),)
        self._spend(math.prod(len(choice.options) for choice in told.values()))
        for indices in itertools.product(*(range(len(c.options)) for c in told.values())):
            taken = dict(zip(told, indices, strict=True))
            new = {key: index for key, index in taken.items() if key[0] != "."}
            decisions = tuple(taken.items())
            if self.program.shapeless:
                yield decisions, new, source, 0
                continue
            values = tuple(choice.options[max(0, taken.get(key, bound.get(key, 0)))]
                           for key, choice in fields)
            try:
                member = fill_fields(layer, (*lead, *values)) if lead or values else layer
                step = lower(member, source)
            except DesignError:
                continue
            yield decisions, new, step.shape, step.params

    def _spend(self, tries: int) -> None:
        self.left -= tries
        if self.left < 0:
            raise TooLargeError

    def _tried(self, layer: Layer, source: Shape, bound: dict[str, int],
               ) -> Iterator[_Found]:
        """Every way to decide a layer that may do anything with its body."""

        def make(choose: Any) -> Any:
            try:
                return lower(decode(Seq((layer,)), choose).parts[0], source)
            except DesignError:
                return None

        for record, step in enumerate_choices(make):
            self._spend(1)
            names = {key: index for key, index in record.items() if key[0] != "["}
            if step is None or any(bound.get(key, index) != index for key, index in names.items()):
                continue
            decisions = tuple((key.removeprefix("[0]"), index) for key, index in record.items()
                              if key not in bound)
            new = {key: index for key, index in names.items() if key not in bound}
            yield decisions, new, step.shape, step.params


def _names(layer: Layer) -> frozenset[str]:
    return frozenset(named_choices(layer))


def _asked(choice: Choice, key: str, bound: Bound) -> Iterator[tuple[int, Decisions, Bound]]:
    """Each option that may be taken: its index, what it decides, and what is bound then."""
    known = dict(bound).get(choice.name) if choice.name else None
    if known is not None:
        yield known, (), bound
        return
    for index in range(len(choice.options)):
        now = tuple(sorted((*bound, (choice.name, index)))) if choice.name else bound
        yield index, ((choice.name or key, index),), now


def _still(bound: Bound, point: Point) -> Bound:
    return tuple(pair for pair in bound if pair[0] in point.live)


def _moved(state: State, point: Point, bound: Bound) -> State:
    return State(point, state.shape, _still(bound, point), state.open)


def _grouped(found: Iterable[_Found]) -> list[_Outcome]:
    groups: dict[tuple[Bound, Shape, int], list[Decisions]] = {}
    for decisions, new, shape, params in found:
        groups.setdefault((tuple(sorted(new.items())), shape, params), []).append(decisions)
    return [_Outcome(*key, tuple(ways)) for key, ways in groups.items()]
