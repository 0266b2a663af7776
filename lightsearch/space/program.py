"""A space as a program: the points between which its decisions are made.

Decoding walks through a space from left to right. Each place where it stands still is a point,
and a point knows the points that can follow it, so that counting needs no recursion over
sequences, choices, repeats and residual bodies: they all become edges that lead forward.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lightsearch.design.choice import Choice
from lightsearch.design.decoding import named_choices
from lightsearch.design.fields import specs
from lightsearch.design.layers import Conv, Depthwise, Dropout, Linear, Residual, Separable
from lightsearch.design.parts import Layer, Part, Repeat, Seq, Space, is_decided

_CONVOLVING = frozenset({"act", "order", "dropout", "per"})
FREE: dict[type[Layer], frozenset[str]] = {
    Conv: _CONVOLVING, Depthwise: _CONVOLVING, Separable: _CONVOLVING,
    Linear: frozenset({"act"}), Dropout: frozenset({"rate", "per"}), Residual: frozenset({"act"}),
}
"""Fields that change neither the shape nor the parameters of a layer, nor whether it fits: their
options are counted and never tried one by one."""


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A place in a space. Points that can follow have a lower `index`.

    `live` has the names that are asked for here or further on: what has been decided for them
    must be remembered, what has been decided for the others can be forgotten.
    """

    index: int
    live: frozenset[str]
    path: str


@dataclass(frozen=True, slots=True, eq=False)
class End(Point):
    """After the last layer."""


@dataclass(frozen=True, slots=True, eq=False)
class Take(Point):
    """A layer; with `closes`, the end of a residual whose body has been walked through."""

    layer: Layer
    closes: bool
    after: Point


@dataclass(frozen=True, slots=True, eq=False)
class Enter(Point):
    """The start of a residual's body."""

    body: Point


@dataclass(frozen=True, slots=True, eq=False)
class Fork(Point):
    """A choice between sequences; `ways` has where each of them starts."""

    choice: Choice
    ways: tuple[Point, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Turn(Point):
    """Before round `turn` of a repeat: it ends here, or goes on with its body."""

    choice: Choice
    turn: int
    body: Point | None
    after: Point


@dataclass(slots=True)
class Program:
    """The points of a space.

    `weighty` has the named choices whose options must be told apart. Of the others it matters
    only whether they have been asked for: then they count as many times as they have options.
    With `shapeless`, only the structure is looked at, as if every layer fitted everywhere.
    """

    shapeless: bool
    names: dict[str, Choice]
    weighty: set[str] = field(default_factory=set)
    made: int = 0
    start: Point = field(init=False)

    def free(self, layer: Layer) -> frozenset[str]:
        """The fields of `layer` whose values need not be told apart."""
        if self.shapeless:
            return frozenset(spec.name for spec in specs(type(layer)))
        return FREE.get(type(layer), frozenset())


def compiled(space: Space, *, shapeless: bool = False) -> Program:
    """The program of `space`.

    Raises `DesignError` if a name stands for two different choices.
    """
    program = Program(shapeless, named_choices(space))
    end = End(0, frozenset(), "")
    program.start = _sequence(program, space, "", end)
    return program


def field_choices(layer: Layer) -> list[tuple[str, Choice]]:
    """The fields of a layer that hold a choice, in the order in which they are asked for."""
    values = ((spec.name, getattr(layer, spec.name)) for spec in specs(type(layer)))
    return [(name, value) for name, value in values if isinstance(value, Choice)]


def open_bodies(layer: Layer) -> list[tuple[str, Seq]]:
    """The fields of a layer that are sequences with something left to choose."""
    values = ((spec.name, getattr(layer, spec.name)) for spec in specs(type(layer)))
    return [(name, value) for name, value in values
            if isinstance(value, Seq) and not is_decided(value)]


def is_opaque(layer: Layer) -> bool:
    """Whether a layer has an open body and may do anything with it: a kind that a user added."""
    return type(layer) is not Residual and bool(open_bodies(layer))


def _sequence(program: Program, space: Seq, path: str, after: Point) -> Point:
    """The point before `space`; points are made from the last to the first."""
    for index in reversed(range(len(space.parts))):
        after = _part(program, space.parts[index], f"{path}[{index}]", after)
    return after


def _part(program: Program, part: Part, path: str, after: Point) -> Point:
    if isinstance(part, Repeat):
        return _rounds(program, part, path, after)
    if isinstance(part, Choice):
        ways = tuple(_sequence(program, option, f"{path}/{number}", after)
                     for number, option in enumerate(part.options))
        used = _weigh(program, part)
        return Fork(*_next(program, used, path, *ways), part, ways)
    return _layer(program, part, path, after)


def _rounds(program: Program, part: Repeat, path: str, after: Point) -> Point:
    used, last = _weigh(program, part.times), max(part.times.options)
    point = Turn(*_next(program, used, path, after), part.times, last, None, after)
    for turn in reversed(range(last)):
        body = _sequence(program, part.body, f"{path}#{turn}", point)
        point = Turn(*_next(program, used, path, after, body), part.times, turn, body, after)
    return point


def _layer(program: Program, layer: Layer, path: str, after: Point) -> Point:
    used, free = set(), program.free(layer)
    for name, choice in field_choices(layer):
        used |= {choice.name} if name in free and choice.name else _weigh(program, choice)
    bodies = open_bodies(layer)
    if bodies and is_opaque(layer) and not program.shapeless:
        inner = named_choices(layer)
        program.weighty |= inner.keys()
        used |= inner.keys()
        bodies = []
    point: Point = Take(*_next(program, used, path, after), layer, bool(bodies), after)
    for name, body in reversed(bodies):
        start = _sequence(program, body, f"{path}.{name}", point)
        point = Enter(*_next(program, set(), path, start), start)
    return point


def _weigh(program: Program, choice: Choice) -> set[str]:
    used = {choice.name} if choice.name else set()
    program.weighty |= used
    return used


def _next(program: Program, used: set[str], path: str,
          *ahead: Point) -> tuple[int, frozenset[str], str]:
    program.made += 1
    return program.made, frozenset(used).union(*(point.live for point in ahead)), path
