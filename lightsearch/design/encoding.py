"""Encoding a design: the decisions by which a space gives it, the inverse of `decoding`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from lightsearch.design.choice import Choice
from lightsearch.design.decoding import fill_fields, find_open_fields, find_open_parts
from lightsearch.design.fields import is_choice
from lightsearch.design.layers import Loop
from lightsearch.design.parts import Design, Fielded, Layer, Part, Repeat, Seq, Space, kind_of
from lightsearch.errors import DesignError

STEPS = 20_000  # comparisons of a layer, after which a design counts as none of the space

Decisions: TypeAlias = dict[str, int]


def encode(space: Space | Fielded, design: Design | Fielded) -> Decisions | None:
    """Return decisions by which `space` gives `design`. None if it does not give it.

    Of several ways the first one is returned. A space in which very many ways must be tried may
    be given up: that is None too.

    >>> from lightsearch import parse
    >>> from lightsearch.design.encoding import encode
    >>> space = parse("conv(8|16) conv(4)? gap linear(10)")
    >>> encode(space, parse("conv(16) gap linear(10)"))
    {'[0].out': 1, '[1]': 0}
    >>> encode(space, parse("conv(9) gap linear(10)")) is None
    True
    """
    search = _Search()
    if isinstance(space, Fielded):
        assert isinstance(design, Fielded)
        found = search.match_fields(space, design, kind_of(type(space)), {})
    else:
        assert isinstance(design, Seq)
        whole = search.match_sequence(space, design.parts, "", {})
        found = (decisions for rest, decisions in whole if not rest)
    try:
        return next(found, None)
    except _GaveUp:
        return None


class _GaveUp(Exception):
    """Too many ways were tried."""


@dataclass(slots=True)
class _Search:
    """A depth-first search. What it yields are the decisions so far, with those before them."""

    steps: int = field(default=0)

    def match_sequence(
        self, space: Seq, layers: Sequence[Part], path: str, known: Decisions
    ) -> Iterator[tuple[Sequence[Part], Decisions]]:
        """Yield each way to read the first of some layers as `space`, with the layers left."""
        ways = iter([(layers, known)])
        for number, (part, is_open) in enumerate(find_open_parts(space)):
            ways = self._match_each(ways, part, is_open, f"{path}[{number}]")
        return ways

    def _match_each(
        self,
        ways: Iterator[tuple[Sequence[Part], Decisions]],
        part: Part,
        is_open: bool,
        place: str,
    ) -> Iterator[tuple[Sequence[Part], Decisions]]:
        for layers, known in ways:
            if isinstance(part, Loop):
                yield from self._match_loop(part, layers, place, known)
            elif isinstance(part, Layer):
                if layers:
                    found = self.match_fields(part, layers[0], place, known, is_open)
                    yield from ((layers[1:], decisions) for decisions in found)
            elif isinstance(part, Repeat):
                for times, decisions in _answers(part.times, f"{place}.times", known):
                    yield from self._match_rounds(part.body, times, layers, place, decisions)
            else:
                for option, decisions in _answers(part, place, known):
                    inside = f"{place}/{part.options.index(option)}"
                    yield from self.match_sequence(option, layers, inside, decisions)

    def _match_rounds(
        self, body: Seq, times: int, layers: Sequence[Part], place: str, known: Decisions
    ) -> Iterator[tuple[Sequence[Part], Decisions]]:
        ways = [(layers, known)]
        for number in range(times):
            inside = f"{place}#{number}"
            ways = [
                way
                for left, decisions in ways
                for way in self.match_sequence(body, left, inside, decisions)
            ]
        yield from ways

    def _match_loop(
        self, loop: Loop, layers: Sequence[Part], place: str, known: Decisions
    ) -> Iterator[tuple[Sequence[Part], Decisions]]:
        """Read a loop: its body alone if it has one pass, or a loop that several make together."""
        wanted = layers[0] if layers else None
        for passes, decided in _values(loop.passes, f"{place}.passes", known):
            for share, decisions in _values(loop.share, f"{place}.share", decided):
                if passes == 1:
                    yield from self.match_sequence(loop.body, layers, f"{place}.body", decisions)
                    continue
                if not isinstance(wanted, Loop) or wanted.share != share or wanted.passes % passes:
                    continue
                body = Seq((replace(wanted, passes=wanted.passes // passes),))
                whole = self.match_sequence(loop.body, body.parts, f"{place}.body", decisions)
                yield from ((layers[1:], found) for rest, found in whole if not rest)

    def match_fields(
        self, layer: Fielded, wanted: Any, path: str, known: Decisions, is_open: bool = True
    ) -> Iterator[Decisions]:
        """Yield the decisions by which `layer` becomes `wanted`.

        A layer may reset a field that has no effect. So where no option is the field's value, all
        are tried.
        """
        self.steps += 1
        if self.steps > STEPS:
            raise _GaveUp
        if type(wanted) is not type(layer) or (not is_open and wanted != layer):
            return
        ways = [known]
        opened = find_open_fields(layer)
        for name, value in opened:
            goal, place = getattr(wanted, name), f"{path}.{name}"
            ways = list(itertools.chain(*(self._match(value, goal, place, way) for way in ways)))
        for way in ways:
            values = tuple(
                getattr(wanted, name)
                if isinstance(value, Seq)
                else value.options[way[value.name or f"{path}.{name}"]]
                for name, value in opened
            )
            if _fills(layer, values, wanted):
                yield way

    def _match(self, value: Any, goal: Any, place: str, known: Decisions) -> Iterator[Decisions]:
        if isinstance(value, Seq):
            whole = self.match_sequence(value, goal.parts, place, known)
            yield from (decisions for rest, decisions in whole if not rest)
            return
        answers = list(_answers(value, place, known))
        same = [decisions for option, decisions in answers if option == goal]
        yield from same or (decisions for _, decisions in answers)


def _values(value: Any, place: str, known: Decisions) -> Iterator[tuple[Any, Decisions]]:
    """Yield the values that a field may have, with the decisions so far."""
    return _answers(value, place, known) if is_choice(value) else iter([(value, known)])


def _answers(choice: Choice, place: str, known: Decisions) -> Iterator[tuple[Any, Decisions]]:
    """Yield the options that a choice may still have, with the decisions that it then adds."""
    key = choice.name or place
    if key in known:
        yield choice.options[known[key]], known
        return
    for index, option in enumerate(choice.options):
        yield option, {**known, key: index}


def _fills(layer: Fielded, values: tuple[Any, ...], wanted: Fielded) -> bool:
    try:
        return bool(fill_fields(layer, values) == wanted)
    except DesignError:  # options that do not go together
        return False
