"""Decoding: from a space to one of its designs, by asking `choose` at each choice.

There is one interpreter. Seeded random, Optuna, the replay of a record and exhaustive
enumeration are only different `choose` functions.

A choice is asked for under its path: `[2].kernel` for a field of the third part, `[2]/1[0].out`
inside the second alternative of a choice of layers, `[2]#0[1].out` in the first round of a
repeat, `[2].body[0].out` inside a residual; a named choice under its name.
"""

from __future__ import annotations

import functools
import random as _random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias, TypeVar, cast, overload

from lightsearch.checks import kind
from lightsearch.design.choice import Choice
from lightsearch.design.fields import specs
from lightsearch.design.parts import (
    Design,
    Fielded,
    Layer,
    Part,
    Repeat,
    Seq,
    Space,
    kind_of,
)
from lightsearch.errors import ArgumentError, DesignError

Choose: TypeAlias = Callable[[str, tuple[Any, ...]], int]
"""`choose(path, options)` gives the index of the option to take."""

V = TypeVar("V")
F = TypeVar("F", bound=Fielded)


@overload
def decode(space: Space, choose: Choose) -> Design: ...
@overload
def decode(space: F, choose: Choose) -> F: ...
def decode(space: Any, choose: Choose) -> Any:
    """The design (or recipe) that `choose` picks from `space`.

    >>> from lightsearch import conv, decode, gap, linear, oneof, seq
    >>> space = seq(conv(oneof(8, 16)), gap(), linear(10))
    >>> str(decode(space, lambda path, options: 1))
    'conv(16) gap linear(10)'

    Raises `DesignError` if a name stands for two different choices, `choose` gives no index of an
    option, or a decided layer is invalid.
    """
    kind("space", space, (Seq, Fielded), "a sequence of layers or a recipe")
    if not callable(choose):
        raise ArgumentError(f"`choose` must be a function, but got choose={choose!r}")
    named_choices(space)
    if isinstance(space, Fielded):
        return _fielded(space, kind_of(type(space)), _once(choose))
    return _sequence(space, "", _once(choose))


def _once(choose: Choose) -> Callable[[Choice, str], Any]:
    """Ask for each named choice once, for the others at every occurrence."""
    taken: dict[str, Any] = {}

    def ask(choice: Choice, path: str) -> Any:
        if choice.name is None:
            return picked(path, choice.options)
        if choice.name not in taken:
            taken[choice.name] = picked(choice.name, choice.options)
        return taken[choice.name]

    def picked(path: str, options: tuple[Any, ...]) -> Any:
        index = choose(path, options)
        if type(index) is int and 0 <= index < len(options):
            return options[index]
        raise DesignError(f"`choose` must give an index below {len(options)} at {path}, but gave "
                          f"{index!r}")

    return ask


def _sequence(space: Seq, path: str, ask: Callable[[Choice, str], Any]) -> Seq:
    parts: list[Part] = []
    for index, (part, opened) in enumerate(_opened(space)):
        if not opened:
            parts.append(part)
            continue
        here = f"{path}[{index}]"
        if isinstance(part, Layer):
            parts.append(_fielded(part, here, ask))
        elif isinstance(part, Repeat):
            times = ask(part.times, f"{here}.times")
            for turn in range(times):
                parts.extend(_sequence(part.body, f"{here}#{turn}", ask).parts)
        else:
            option = ask(part, here)
            parts.extend(_sequence(option, f"{here}/{part.options.index(option)}", ask).parts)
    return Seq(tuple(parts))


def _fielded(layer: F, path: str, ask: Callable[[Choice, str], Any]) -> F:
    values: list[Any] = []
    for name, value in _open_fields(layer):
        if isinstance(value, Seq):
            values.append(_sequence(value, f"{path}.{name}", ask))
        else:
            values.append(ask(value, f"{path}.{name}"))
    try:
        return cast(F, decided(layer, tuple(values)))
    except DesignError as error:
        raise DesignError(f"{error}, at {path}") from None


@functools.lru_cache(maxsize=65536)
def decided(layer: F, values: tuple[Any, ...]) -> F:
    """`layer` with its undecided fields replaced, in their order, by `values`."""
    replaced = dict(zip((name for name, _ in _open_fields(layer)), values, strict=True))
    fields = {spec.name: getattr(layer, spec.name) for spec in specs(type(layer))}
    return type(layer)(**(fields | replaced))


@functools.lru_cache(maxsize=4096)
def _open_fields(layer: Fielded) -> tuple[tuple[str, Any], ...]:
    found = []
    for spec in specs(type(layer)):
        value = getattr(layer, spec.name)
        if isinstance(value, Choice) or (
                isinstance(value, Seq) and any(opened for _, opened in _opened(value))):
            found.append((spec.name, value))
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def _opened(space: Seq) -> tuple[tuple[Part, bool], ...]:
    """Each part of a sequence with whether anything in it is left to choose."""
    return tuple(
        (part, bool(_open_fields(part)) if isinstance(part, Layer) else True)
        for part in space.parts
    )


@functools.lru_cache(maxsize=256)
def named_choices(space: Space | Fielded) -> dict[str, Choice]:
    """The named choices of a space, in the order of their first occurrence.

    Raises `DesignError` if one name stands for two different choices.
    """
    found: dict[str, Choice] = {}
    for choice in _choices(space):
        if choice.name is None:
            continue
        known = found.setdefault(choice.name, choice)
        if known.options != choice.options:
            raise DesignError(f"the choice named {choice.name!r} must have the same options "
                              f"everywhere, but got {known!r} and {choice!r}")
    return found


def _choices(space: Seq | Fielded) -> Iterator[Choice]:
    for part in space.parts if isinstance(space, Seq) else (space,):
        if isinstance(part, Choice):
            yield part
            for option in part.options:
                yield from _choices(option)
        elif isinstance(part, Repeat):
            yield part.times
            yield from _choices(part.body)
        else:
            for spec in specs(type(part)):
                value = getattr(part, spec.name)
                if isinstance(value, Choice):
                    yield value
                elif isinstance(value, Seq):
                    yield from _choices(value)


def layers_of(space: Space | Fielded) -> Iterator[Fielded]:
    """Every layer that may occur in a space's designs, at least once."""
    for part in space.parts if isinstance(space, Seq) else (space,):
        if isinstance(part, Choice):
            for option in part.options:
                yield from layers_of(option)
        elif isinstance(part, Repeat):
            yield from layers_of(part.body)
        else:
            yield part
            for spec in specs(type(part)):
                if isinstance(value := getattr(part, spec.name), Seq):
                    yield from layers_of(value)


# The `choose` functions -------------------------------------------------------------------------


def chooser(generator: _random.Random) -> Choose:
    """Choose each option with equal probability, from a seeded `random.Random`.

    Designs are not drawn uniformly: an option that leads to many designs is taken as often as one
    that leads to few. `lightsearch.space.Sampler` draws uniformly.
    """
    return lambda path, options: generator.randrange(len(options))


def replay(decisions: Mapping[str, int]) -> Choose:
    """Choose what a record says.

    The function raises `DesignError` where the record lacks a decision or holds one out of range.
    """

    def choose(path: str, options: tuple[Any, ...]) -> int:
        if path not in decisions:
            raise DesignError(f"the record must decide {path!r}, but it decides only "
                              f"{', '.join(decisions) or 'nothing'}")
        index = decisions[path]
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(options):
            raise DesignError(f"the record must give an index below {len(options)} for {path!r}, "
                              f"but got {index!r}")
        return index

    return choose


def recording(choose: Choose, decisions: dict[str, int]) -> Choose:
    """`choose`, with what it chose written into `decisions`."""

    def recorded(path: str, options: tuple[Any, ...]) -> int:
        decisions[path] = choose(path, options)
        return decisions[path]

    return recorded


def enumerated(make: Callable[[Choose], V]) -> Iterator[tuple[dict[str, int], V]]:
    """Call `make` once for every way to choose: each record of decisions with what it made.

    `make` is anything that asks a `choose`, such as `lambda choose: decode(space, choose)`.
    """
    prefix: list[int] | None = []
    while prefix is not None:
        trail: list[tuple[str, int, int]] = []
        made = make(_following(prefix, trail))
        yield {path: index for path, index, _ in trail}, made
        while trail and trail[-1][1] + 1 == trail[-1][2]:
            trail.pop()
        prefix = [index for _, index, _ in trail]
        if prefix:
            prefix[-1] += 1
        else:
            prefix = None


def _following(prefix: list[int], trail: list[tuple[str, int, int]]) -> Choose:
    def choose(path: str, options: tuple[Any, ...]) -> int:
        index = prefix[len(trail)] if len(trail) < len(prefix) else 0
        trail.append((path, index, len(options)))
        return index

    return choose


def designs(space: Space) -> Iterator[Design]:
    """Every design of a space, once for each assignment of its active decisions."""
    for _, design in enumerated(lambda choose: decode(space, choose)):
        yield design


__all__ = ["Choose", "chooser", "decided", "decode", "designs", "enumerated", "layers_of",
           "named_choices", "recording", "replay"]
