"""Whether records that are read from a file hold what their fields are declared to hold."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from types import NoneType
from typing import Any, TypeVar

from lightsearch.checks import has_controls

_KINDS: dict[str, Any] = {
    "int": int,
    "int | None": (int, NoneType),
    "float": (int, float),
    "str": str,
    "dict[str, int]": dict,
    "dict[str, str]": dict,
}
_INSIDE: dict[str, type] = {"dict[str, int]": int, "dict[str, str]": str}
V = TypeVar("V")


def check_types(record: V) -> V:
    """Return a record read from a file, if its plain fields hold what they are declared to hold.

    Raises `TypeError` naming the field otherwise.
    """
    known = _fields_of(type(record))  # type: ignore[arg-type]
    values = known.read(record)
    kinds = tuple(map(type, values))
    if kinds not in known.passed:
        for one, value in zip(known.fields, values, strict=True):
            if not isinstance(value, one.kind):
                raise TypeError(_describe(one, value))
        if len(known.passed) < 100:  # a study has a few, a stranger's file as many as it likes
            known.passed.add(kinds)
    for index in known.texts:
        if not _is_clean(values[index]):
            raise TypeError(_describe(known.fields[index], values[index], controls=True))
    for index, inside in known.dicts:
        _check_inside(known.fields[index], values[index], inside)
    return record


@dataclass(frozen=True, slots=True)
class _Field:
    """A field's name, its type as written, and what its values are instances of."""

    name: str
    declared: str
    kind: Any


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of a class. A study has many records, so what is slow is done once for all."""

    fields: tuple[_Field, ...]
    read: Callable[[object], tuple[Any, ...]]
    texts: tuple[int, ...]  # which are texts
    dicts: tuple[tuple[int, type], ...]  # which are dictionaries, and of what
    passed: set[tuple[type, ...]]  # types of the fields that were found right


@functools.cache
def _fields_of(record: type) -> _Fields:
    found = tuple(
        _Field(one.name, str(one.type), _KINDS.get(str(one.type), object))
        for one in fields(record)
    )
    declared = [one.declared for one in found]
    read = attrgetter(*(one.name for one in found))
    return _Fields(
        found,
        read if len(found) > 1 else lambda record: (read(record),),
        tuple(index for index, name in enumerate(declared) if name == "str"),
        tuple((i, _INSIDE[name]) for i, name in enumerate(declared) if name in _INSIDE),
        set(),
    )


def _check_inside(field: _Field, value: dict[str, Any], inside: type) -> None:
    if not all(isinstance(one, inside) for one in value.values()):
        raise TypeError(_describe(field, value))
    if has_controls("\n".join(itertools.chain(value, value.values() if inside is str else ()))):
        raise TypeError(_describe(field, value, controls=True))


@functools.lru_cache(maxsize=1000)
def _is_clean(text: str) -> bool:
    """Whether a text has no control characters. Many records have the same texts."""
    return not has_controls(text)


def _describe(field: _Field, value: object, *, controls: bool = False) -> str:
    rule = "have no control characters" if controls else f"be {field.declared}"
    return f"{field.name} must {rule}, but is {value!r:.60}"
