"""A space as a program: points, and the decisions between them.

Decoding walks through a space from left to right and stops at points. Each point holds the points
that can follow it. So sequences, choices, repeats and residual bodies all become edges that lead
forward, and counting needs no recursion over them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lightsearch.design.branches import AddBranches, Branching
from lightsearch.design.choice import Choice
from lightsearch.design.decoding import named_choices
from lightsearch.design.fields import specs
from lightsearch.design.layers import Conv, Depthwise, Dropout, Linear, Loop, Residual, Separable
from lightsearch.design.parts import Layer, Part, Repeat, Seq, Space, is_decided
from lightsearch.design.pointwise import Act

_CONVOLUTION_FIELDS = frozenset({"act", "order", "dropout", "per"})
FREE: dict[type[Layer], frozenset[str]] = {
    Conv: _CONVOLUTION_FIELDS,
    Depthwise: _CONVOLUTION_FIELDS,
    Separable: _CONVOLUTION_FIELDS,
    Linear: frozenset({"act"}),
    Dropout: frozenset({"rate", "per"}),
    Residual: frozenset({"act"}),
    AddBranches: frozenset({"act"}),
    Act: frozenset({"slope"}),
}
"""Fields that affect neither the shape nor the parameters of a layer, nor whether it fits. Their
options are counted without trying each."""


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A place in a space. The points that can follow have a lower `index`.

    `live` has the names of the choices that are made here or later. Only their decisions must be
    remembered.
    """

    index: int
    live: frozenset[str]
    path: str


@dataclass(frozen=True, slots=True, eq=False)
class End(Point):
    """After the last layer."""


@dataclass(frozen=True, slots=True, eq=False)
class Take(Point):
    """A layer. With `closes`, it is a residual, a loop or two branches that end here."""

    layer: Layer
    closes: bool
    after: Point


@dataclass(frozen=True, slots=True, eq=False)
class Enter(Point):
    """The start of the body of a residual or a loop, or of a branch: of the second, with `turns`.

    The passes of a loop, and what they share, are decided here: the parameters of the layers
    inside depend on them.
    """

    layer: Layer
    body: Point
    turns: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Fork(Point):
    """A choice between sequences. `ways` has the first point of each."""

    choice: Choice
    ways: tuple[Point, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Turn(Point):
    """The point before round `turn` of a repeat, which ends here or continues with its body."""

    choice: Choice
    turn: int
    body: Point | None
    after: Point


@dataclass(slots=True)
class Program:
    """The points of a space.

    `decisive` has the named choices whose options lead to different shapes, parameters or points.
    Of the others it matters only whether they are active: each option counts once then.
    With `shapeless`, only the structure counts, as if every layer fitted everywhere.
    """

    shapeless: bool
    names: dict[str, Choice]
    decisive: set[str] = field(default_factory=set)
    point_count: int = 0
    start: Point = field(init=False)

    def free(self, layer: Layer) -> frozenset[str]:
        """Return the fields of `layer` whose options need not be tried one by one."""
        if self.shapeless:
            return frozenset(spec.name for spec in specs(type(layer)))
        free = FREE.get(type(layer), frozenset())
        act = getattr(layer, "act", None)
        learns = isinstance(act, Choice) and "prelu" in act.options  # it has parameters
        return free - {"act"} if learns else free


def compile_space(space: Space, *, shapeless: bool = False) -> Program:
    """Compile `space` into its program.

    Raises `DesignError` if a name stands for two different choices.
    """
    program = Program(shapeless, named_choices(space))
    end = End(0, frozenset(), "")
    program.start = _add_sequence(program, space, "", end)
    return program


def field_choices(layer: Layer) -> list[tuple[str, Choice]]:
    """Return the fields of a layer that hold a choice, in the order of decoding."""
    values = ((spec.name, getattr(layer, spec.name)) for spec in specs(type(layer)))
    return [(name, value) for name, value in values if isinstance(value, Choice)]


def open_bodies(layer: Layer) -> list[tuple[str, Seq]]:
    """Return the fields of a layer that are sequences with choices: both or none of branches."""
    values = ((spec.name, getattr(layer, spec.name)) for spec in specs(type(layer)))
    bodies = [(name, value) for name, value in values if isinstance(value, Seq)]
    opened = [(name, value) for name, value in bodies if not is_decided(value)]
    return bodies if opened and isinstance(layer, Branching) else opened


def has_opaque_body(layer: Layer) -> bool:
    """Whether a layer of a user's own kind has a body with choices. It may use it in any way."""
    return not isinstance(layer, Residual | Loop | Branching) and bool(open_bodies(layer))


def _add_sequence(program: Program, space: Seq, path: str, after: Point) -> Point:
    """Return the point before `space`. Points are made from the last to the first."""
    for index in reversed(range(len(space.parts))):
        after = _add_part(program, space.parts[index], f"{path}[{index}]", after)
    return after


def _add_part(program: Program, part: Part, path: str, after: Point) -> Point:
    if isinstance(part, Repeat):
        return _add_rounds(program, part, path, after)
    if isinstance(part, Choice):
        ways = tuple(
            _add_sequence(program, option, f"{path}/{number}", after)
            for number, option in enumerate(part.options)
        )
        used = _mark_decisive(program, part)
        return Fork(*_make_fields(program, used, path, *ways), part, ways)
    return _add_layer(program, part, path, after)


def _add_rounds(program: Program, part: Repeat, path: str, after: Point) -> Point:
    used, last = _mark_decisive(program, part.times), max(part.times.options)
    point = Turn(*_make_fields(program, used, path, after), part.times, last, None, after)
    for turn in reversed(range(last)):
        body = _add_sequence(program, part.body, f"{path}#{turn}", point)
        fields = _make_fields(program, used, path, after, body)
        point = Turn(*fields, part.times, turn, body, after)
    return point


def _add_layer(program: Program, layer: Layer, path: str, after: Point) -> Point:
    used, free = set(), program.free(layer)
    for name, choice in field_choices(layer):
        used |= {choice.name} if name in free and choice.name else _mark_decisive(program, choice)
    bodies = open_bodies(layer)
    if bodies and has_opaque_body(layer) and not program.shapeless:
        inner = named_choices(layer)
        program.decisive |= inner.keys()
        used |= inner.keys()
        bodies = []
    point: Point = Take(*_make_fields(program, used, path, after), layer, bool(bodies), after)
    for number, (name, body) in reversed(list(enumerate(bodies))):
        start = _add_sequence(program, body, f"{path}.{name}", point)
        point = Enter(*_make_fields(program, set(), path, start), layer, start, number > 0)
    return point


def _mark_decisive(program: Program, choice: Choice) -> set[str]:
    used = {choice.name} if choice.name else set()
    program.decisive |= used
    return used


def _make_fields(
    program: Program, used: set[str], path: str, *ahead: Point
) -> tuple[int, frozenset[str], str]:
    program.point_count += 1
    return program.point_count, frozenset(used).union(*(point.live for point in ahead)), path
