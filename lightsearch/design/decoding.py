"""Decoding a space into one of its designs: `choose` picks an option at each choice.

There is one interpreter. Random draws, Optuna, the replay of a record and exhaustive
enumeration differ only in their `choose` function.

`choose` gets the name of a named choice, and the path of any other:

- `[2].kernel`: a field of the third part.
- `[2]/1[0].out`: inside the second option of a choice of layers.
- `[2]#0[1].out`: in the first round of a repeat.
- `[2].body[0].out`: inside a residual.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from numbers import Integral
from typing import Any, TypeAlias, TypeVar, cast, overload

from lightsearch.checks import check_kind
from lightsearch.design.choice import Choice
from lightsearch.design.choosing import (
    Choose,
    chooser,
    enumerate_choices,
    record_decisions,
    replay,
)
from lightsearch.design.fields import specs
from lightsearch.design.identity_cache import cache_by_identity
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
from lightsearch.errors import ArgumentError, DesignError, quote
from lightsearch.layer_warnings import call_layer

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

    Raises `DesignError` if a name stands for two different choices, if `choose` returns no index
    of an option, or if a layer is invalid once its fields are chosen.
    """
    check_kind("space", space, (Seq, Fielded), "a sequence of layers or a recipe")
    if not callable(choose):
        raise ArgumentError(f"`choose` must be a function, but got choose={quote(choose)}")
    named_choices(space)
    if isinstance(space, Fielded):
        return _decode_fields(space, kind_of(type(space)), _ask_once(choose))
    return Seq(tuple(_decode_parts(space, "", _ask_once(choose))))


Ask: TypeAlias = Callable[[Choice, str], int]
"""Returns the index of the option that is taken of a choice at a path."""


def _ask_once(choose: Choose) -> Ask:
    """Return a function that asks `choose` once for a named choice, and always for the others."""
    answers: dict[str, int] = {}

    def ask(choice: Choice, path: str) -> int:
        if choice.name is None:
            return pick(path, choice.options)
        if choice.name not in answers:
            answers[choice.name] = pick(choice.name, choice.options)
        return answers[choice.name]

    def pick(path: str, options: tuple[Any, ...]) -> int:
        index = choose(path, options)
        whole = type(index) is int or (isinstance(index, Integral) and not isinstance(index, bool))
        if whole and 0 <= int(index) < len(options):
            return int(index)
        raise DesignError(
            f"`choose` must give an index below {len(options)} at {path}, but gave {index!r}"
        )

    return ask


def _decode_parts(space: Seq, path: str, ask: Ask) -> list[Part]:
    parts: list[Part] = []
    for number, (part, is_open) in enumerate(find_open_parts(space)):
        if not is_open:
            parts.append(part)
            continue
        place = f"{path}[{number}]"
        if isinstance(part, Layer):
            parts.append(_decode_fields(part, place, ask))
        elif isinstance(part, Repeat):
            times = part.times.options[ask(part.times, f"{place}.times")]
            for round_number in range(times):
                parts.extend(_decode_parts(part.body, f"{place}#{round_number}", ask))
        else:
            index = ask(part, place)
            parts.extend(_decode_parts(part.options[index], f"{place}/{index}", ask))
    return parts


def _decode_fields(layer: F, path: str, ask: Ask) -> F:
    values: list[Any] = []
    for name, value in find_open_fields(layer):
        place = f"{path}.{name}"
        if isinstance(value, Seq):
            values.append(Seq(tuple(_decode_parts(value, place, ask))))
        else:
            values.append(value.options[ask(value, place)])
    try:
        return cast(F, fill_fields(layer, tuple(values)))
    except DesignError as error:
        raise DesignError(f"{error}, at {path}") from None


@functools.lru_cache(maxsize=65536)
def fill_fields(layer: F, values: tuple[Any, ...]) -> F:
    """Return `layer` with its open fields replaced, in their order, by `values`."""
    chosen = dict(zip((name for name, _ in find_open_fields(layer)), values, strict=True))
    fields = {spec.name: getattr(layer, spec.name) for spec in specs(type(layer))}
    with call_layer():
        return type(layer)(**(fields | chosen))


@cache_by_identity(4096)
def find_open_fields(layer: Fielded) -> tuple[tuple[str, Any], ...]:
    """Return the fields of `layer` that hold a choice, by name."""
    fields = []
    for spec in specs(type(layer)):
        value = getattr(layer, spec.name)
        if isinstance(value, Choice) or (
            isinstance(value, Seq) and any(is_open for _, is_open in find_open_parts(value))
        ):
            fields.append((spec.name, value))
    return tuple(fields)


@cache_by_identity(4096)
def find_open_parts(space: Seq) -> tuple[tuple[Part, bool], ...]:
    """Return each part of a sequence, and whether it holds a choice."""
    return tuple(
        (part, bool(find_open_fields(part)) if isinstance(part, Layer) else True)
        for part in space.parts
    )


@cache_by_identity(256)
def named_choices(space: Space | Fielded) -> dict[str, Choice]:
    """The named choices of a space, in the order of their first occurrence.

    Raises `DesignError` if one name stands for two different choices.
    """
    choices: dict[str, Choice] = {}
    for choice in _iter_choices(space):
        if choice.name is None:
            continue
        first = choices.setdefault(choice.name, choice)
        if first.options != choice.options:
            raise DesignError(
                f"the choice named {choice.name!r} must have the same options "
                f"everywhere, but got {first!r} and {choice!r}"
            )
    return choices


def _iter_choices(space: Seq | Fielded) -> Iterator[Choice]:
    for part in space.parts if isinstance(space, Seq) else (space,):
        if isinstance(part, Choice):
            yield part
            for option in part.options:
                yield from _iter_choices(option)
        elif isinstance(part, Repeat):
            yield part.times
            yield from _iter_choices(part.body)
        else:
            for spec in specs(type(part)):
                value = getattr(part, spec.name)
                if isinstance(value, Choice):
                    yield value
                elif isinstance(value, Seq):
                    yield from _iter_choices(value)


def layers_of(space: Space | Fielded) -> Iterator[Fielded]:
    """Yield every layer that may occur in the designs of a space, at least once."""
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


def designs(space: Space) -> Iterator[Design]:
    """Yield every design of a space, once for each assignment of its active decisions."""
    for _, design in enumerate_choices(lambda choose: decode(space, choose)):
        yield design


__all__ = [
    "Choose",
    "chooser",
    "decode",
    "designs",
    "enumerate_choices",
    "fill_fields",
    "find_open_fields",
    "find_open_parts",
    "layers_of",
    "named_choices",
    "record_decisions",
    "replay",
]
