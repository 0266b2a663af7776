"""The fields of a layer or recipe: what they accept, and how the notation writes them.

A layer kind is a frozen dataclass whose fields are declared with `integer`, `real`, `word`,
`flag` and `body`. The declaration is all there is: validation, notation, decoding and counting
read it, so a kind that a user adds works everywhere.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from lightsearch.design.choice import Choice
from lightsearch.errors import DesignError

_WORD = re.compile(r"[^\W\d_][\w-]*")
Kind = Literal["integer", "real", "word", "flag", "body"]


@dataclass(frozen=True, slots=True)
class Spec:
    """What one field accepts. `auto` is a word that stands for a value derived from the others."""

    name: str
    kind: Kind
    short: str
    default: Any
    low: float = -math.inf
    high: float = math.inf
    below: bool = False  # the upper end is excluded
    options: tuple[str, ...] = ()
    auto: str | None = None

    @property
    def required(self) -> bool:
        return self.default is dataclasses.MISSING

    def rule(self) -> str:
        """The rule in words, for messages."""
        if self.kind == "word":
            return f"must be one of {', '.join(self.options)}"
        if self.kind == "flag":
            return "must be True or False"
        if self.kind == "body":
            return "must be a sequence of layers"
        noun = "an integer" if self.kind == "integer" else "a number"
        extra = f", or {self.auto!r}" if self.auto else ""
        if self.high < math.inf:
            return f"must be {noun} from {self.low:.10g} to {'below ' if self.below else ''}" \
                   f"{self.high:.10g}{extra}"
        return f"must be {noun} >= {self.low:.10g}{extra}"

    def accept(self, value: Any) -> Any:
        """`value` in its canonical type; raises `DesignError` if it does not fit."""
        if self.auto is not None and isinstance(value, str) and value == self.auto:
            return self.auto
        if self.kind == "word" and isinstance(value, str) and value in self.options:
            return self.options[self.options.index(value)]
        if self.kind == "flag" and isinstance(value, bool):
            return value
        if self.kind == "integer" and isinstance(value, int) and not isinstance(value, bool):
            if self.low <= value <= self.high:
                return int(value)
        elif self.kind == "real" and isinstance(value, int | float):
            number = math.nan if isinstance(value, bool) else _as_float(value)
            inside = number < self.high if self.below else number <= self.high
            if self.low <= number and inside and math.isfinite(number):
                return number + 0.0  # -0.0 becomes 0.0
        raise DesignError(f"`{self.name}` {self.rule()}, but got {self.name}={value!r}")


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond all floats
        return math.inf


def _declare(kind: Kind, default: Any, short: str | None, **more: Any) -> Any:
    metadata = {"kind": kind, "short": short, **more}
    return dataclasses.field(default=default, metadata=metadata)


def integer(default: Any = dataclasses.MISSING, *, short: str | None = None, low: int = 1,
            high: float = 1_000_000, auto: str | None = None) -> Any:
    """An integer field, `low <= value <= high`; `auto` is a word accepted in its place."""
    return _declare("integer", default, short, low=low, high=high, auto=auto)


def real(default: Any = dataclasses.MISSING, *, short: str | None = None, low: float = 0.0,
         high: float = math.inf, below: bool = False) -> Any:
    """A finite number, `low <= value <= high` (`< high` with `below`)."""
    return _declare("real", default, short, low=low, high=high, below=below)


def word(default: Any, options: tuple[str, ...], *, short: str | None = None) -> Any:
    """One of a few words."""
    return _declare("word", default, short, options=options)


def flag(default: bool = False, *, short: str | None = None) -> Any:
    """True or False."""
    return _declare("flag", default, short)


def body() -> Any:
    """A sequence of layers inside a layer."""
    return _declare("body", dataclasses.MISSING, None)


def _specs(cls: type) -> tuple[Spec, ...]:
    found: list[Spec] = []
    for item in dataclasses.fields(cls):
        meta = {k: v for k, v in item.metadata.items() if v is not None}
        meta.setdefault("short", item.name)
        spec = Spec(name=item.name, default=item.default, **meta)
        _check_writable(spec, found)
        found.append(spec)
    return tuple(found)


# Typed as a plain function: to mypy a class is not hashable where a subclass defines `__hash__`.
specs: Callable[[type], tuple[Spec, ...]] = functools.cache(_specs)
"""The fields of a layer kind or recipe, in the order of its constructor."""


def _check_writable(spec: Spec, before: list[Spec]) -> None:
    """What the notation could not tell apart, or read back, is refused where it is declared."""
    for word_ in (spec.name, spec.short, *spec.options, *([spec.auto] if spec.auto else [])):
        if not _WORD.fullmatch(word_):
            raise DesignError(f"the names and words of `{spec.name}` must be letters, digits, _ "
                              f"and -, starting with a letter, but got {word_!r}")
    taken = {name for other in before for name in (other.name, other.short)}
    for name in (spec.name, spec.short):
        if name in taken:
            raise DesignError("the names of fields, and their short forms, must differ, "
                              f"but got {name!r} twice")


def check_fields(owner: Any, label: str) -> None:
    """Validate every field of a frozen dataclass and store the canonical values."""
    for spec in specs(type(owner)):
        if spec.kind == "body":
            continue
        value = getattr(owner, spec.name)
        try:
            if isinstance(value, Choice):
                fitting: Any = Choice(tuple(spec.accept(o) for o in value.options), value.name)
            else:
                fitting = spec.accept(value)
        except DesignError as error:
            raise DesignError(f"{label}: {error}") from None
        if fitting is not value:
            object.__setattr__(owner, spec.name, fitting)


def put(owner: Any, **values: Any) -> None:
    """Set fields of a frozen value while it is being made (from `settle` only)."""
    for name, value in values.items():
        object.__setattr__(owner, name, value)


def undecided(value: Any) -> bool:
    """Whether a choice stands where a value would."""
    return isinstance(value, Choice)
