"""Random layers, designs, spaces and recipes, for property tests.

They are read off the declared fields of the built-in kinds, so they reach every option and the
corners of every range. Layers need not fit any input; but every choice in a space may be decided
either way without an error.
"""

from __future__ import annotations

import functools
from typing import Any

from hypothesis import strategies as st

from lightsearch.design import (
    Layer,
    Seq,
    conv,
    decode,
    enumerate_choices,
    kinds,
    maxpool,
    maybe,
    oneof,
    separable,
)
from lightsearch.design import repeat as repeated
from lightsearch.design.fields import Spec, specs
from lightsearch.design.recipe import Recipe
from lightsearch.errors import DesignError

KINDS: tuple[type[Any], ...] = tuple(
    cls for cls in kinds().values() if cls.__module__.startswith("lightsearch.")
)

# Each name stands for one choice in all values that are drawn, so that named choices agree.
NAMED_VALUES = {
    "width": (8, 16, 24),
    "size": (1, 3, 5),
    "sides": ((3, 1), 3, (1, 5)),
    "share": (0.1, 0.25),
    "on": (True, False),
    "act": ("relu", "gelu"),
    "n2": (1, 2),
}
NAMED_BLOCKS = {
    "stem": oneof([conv(8)], [separable(8), maxpool()], name="stem"),
    "extra": maybe(conv(oneof(4, 8, name="inner")), name="extra"),
}


@functools.cache
def values(spec: Spec) -> st.SearchStrategy[Any]:
    """Values that a field (not a body) accepts."""
    if spec.kind == "word":
        return st.sampled_from(spec.options)
    if spec.kind == "flag":
        return st.booleans()
    if spec.kind == "real":
        found: st.SearchStrategy[Any] = st.floats(
            spec.low, min(spec.high, 1e30), exclude_max=spec.below, allow_nan=False
        )
        return st.one_of(
            found,
            st.sampled_from([0.1, 0.5, 1e-5]).filter(lambda value: spec.low <= value < spec.high),
        )
    low, high = int(spec.low), int(min(spec.high, 10**9))
    if spec.name == "passes":  # of loops in loops: a text stands for at most 10,000 layers
        return st.integers(low, 5)
    small = st.integers(low, min(high, 32))
    found = st.one_of(small, small, st.integers(low, high))
    if spec.pair:
        found = st.one_of(found, st.tuples(small, small))
    return found if spec.auto is None else st.one_of(found, st.just(spec.auto))


@functools.cache
def choices(spec: Spec) -> st.SearchStrategy[Any]:
    """Choices that a field (not a body) accepts, named and unnamed."""
    plain = st.lists(values(spec), min_size=2, max_size=3, unique_by=spec.accept)
    unnamed = plain.map(lambda options: oneof(*options))
    fitting = [
        oneof(*options, name=name)
        for name, options in NAMED_VALUES.items()
        if all(_accepts(spec, option) for option in options)
    ]
    return st.one_of(unnamed, st.sampled_from(fitting)) if fitting else unnamed


def _accepts(spec: Spec, value: Any) -> bool:
    try:
        spec.accept(value)
    except DesignError:
        return False
    return True


@functools.cache
def _told(cls: type) -> st.SearchStrategy[dict[str, bool]]:
    """Which optional fields are given, and at most two fields that hold a choice."""
    names = [spec.name for spec in specs(cls) if spec.kind != "body"]
    if not names:
        return st.just({})
    one = st.tuples(st.sampled_from(names), st.booleans())
    return st.lists(one, max_size=5).map(
        lambda told: {
            name: is_open and sum(o for _, o in told[:index]) < 2
            for index, (name, is_open) in enumerate(told)
        }
    )


@st.composite
def _fielded(draw: st.DrawFn, cls: type[Any], *, open_: bool, depth: int) -> Any:
    told = draw(_told(cls))
    fields: dict[str, Any] = {}
    for spec in specs(cls):
        if spec.kind == "body":
            first = draw(layers(open_=open_, depth=0))  # a body must not turn out empty
            fields[spec.name] = _joined([first, draw(sequences(open_=open_, depth=depth - 1))])
        elif spec.required or spec.name in told:
            single = spec.kind == "word" and len(spec.options) == 1
            is_open = open_ and told.get(spec.name, False) and not single
            fields[spec.name] = draw(choices(spec) if is_open else values(spec))
    try:
        made = cls(**fields)
        if open_ and depth == 0:
            for _ in enumerate_choices(lambda choose: decode(made, choose)):
                pass
    except DesignError:  # fields that do not go together: only the required ones
        return cls(**{spec.name: fields[spec.name] for spec in specs(cls) if spec.required})
    return made


@functools.cache
def layers(*, open_: bool = False, depth: int = 2) -> st.SearchStrategy[Layer]:
    """A layer of any built-in kind; with `open_`, choices may stand in its fields."""
    plain = [_fielded(cls, open_=open_, depth=0) for cls in KINDS if not _has_body(cls)]
    blocks = [_fielded(cls, open_=open_, depth=depth) for cls in KINDS if _has_body(cls)]
    return st.one_of(*plain, *(blocks if depth > 0 else []))


def _has_body(cls: type[Layer]) -> bool:
    return any(spec.kind == "body" for spec in specs(cls))


@st.composite
def _parts(draw: st.DrawFn, *, depth: int) -> Any:
    kind = draw(st.sampled_from(["layer", "layer", "oneof", "maybe", "repeat", "named"]))
    if kind == "layer" or depth <= 0:
        return draw(layers(open_=True, depth=depth))
    if kind == "named":
        return NAMED_BLOCKS[draw(st.sampled_from(sorted(NAMED_BLOCKS)))]
    block = draw(sequences(open_=True, depth=depth - 1))
    if kind == "maybe" and block.parts:
        return maybe(block)
    if kind == "repeat":
        times = draw(st.sampled_from([oneof(0, 1), oneof(2, 1, 3), oneof(1, 2, name="n2")]))
        return repeated(block, times)
    other = draw(sequences(open_=True, depth=depth - 1))
    absent = [Seq()] if draw(st.booleans()) else []
    return oneof(*dict.fromkeys([block, other, *absent]))


@functools.cache
def sequences(*, open_: bool, depth: int = 2) -> st.SearchStrategy[Seq]:
    """A sequence of a few parts; with `open_`, choices may stand anywhere in it."""
    part: st.SearchStrategy[Any] = _parts(depth=depth) if open_ else layers(depth=depth)
    return st.lists(part, max_size=4 if depth == 2 else 2).map(_joined)


def _joined(parts: list[Any]) -> Seq:
    flat: list[Any] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Seq) else [part])
    return Seq(tuple(flat))


def designs() -> st.SearchStrategy[Seq]:
    """Designs, bodies of residuals included; they need not fit any input."""
    return sequences(open_=False)


def spaces() -> st.SearchStrategy[Seq]:
    """Spaces with named and unnamed choices of values, layers and repeats, in any nesting."""
    return sequences(open_=True)


def recipes(*, open_: bool = False) -> st.SearchStrategy[Recipe]:
    """Training recipes; with `open_`, with choices in them."""
    return _fielded(Recipe, open_=open_, depth=0)
