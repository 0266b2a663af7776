"""The fields of a layer or recipe: what they accept, and how the notation writes them.

A layer kind is a frozen dataclass that declares its fields with `integer`, `real`, `word`,
`flag` and `body`. Validation, notation, decoding and counting read this declaration, so a kind
that a user adds works everywhere.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

from lightsearch.checks import unwrap
from lightsearch.design.choice import Choice
from lightsearch.errors import DesignError, quote, suggestion
from lightsearch.shapes import join_sides

WORD = re.compile(r"[^\W\d_][\w-]*")
REGISTER_FIRST = "one of your own must be registered first (at the shell by --import FILE.py)"
Kind = Literal["integer", "real", "word", "flag", "body"]


@dataclass(frozen=True, slots=True)
class Spec:
    """What one field accepts. `auto` is a word for a value that other fields determine.

    The notation leaves out the name of the first field, if it is required, and those of the `bare`
    ones that follow it. It also leaves out that of a word unless the field is `named`.
    `more` returns words that a user has registered beside the `options`. An integer that may be a
    `pair` is one for height and width, or a tuple of both.
    """

    name: str
    kind: Kind
    short: str
    default: Any
    low: float = -math.inf
    high: float = math.inf
    below: bool = False  # whether `high` itself is excluded
    options: tuple[str, ...] = ()
    auto: str | None = None
    bare: bool = False
    named: bool = False
    more: Callable[[], tuple[str, ...]] | None = None
    pair: bool = False

    @property
    def required(self) -> bool:
        return self.default is dataclasses.MISSING

    def words(self) -> tuple[str, ...]:
        """Return the words that the field takes now: its options and a user's own."""
        return self.options if self.more is None else (*self.options, *self.more())

    def rule(self) -> str:
        """Return the rule in words, for error messages."""
        if self.kind == "word":
            return f"must be one of {', '.join(self.words())}"
        if self.kind == "flag":
            return "must be True or False"
        if self.kind == "body":
            return "must be a sequence of layers"
        noun = "an integer" if self.kind == "integer" else "a number"
        extra = ", or two of them, (height, width)" if self.pair else ""
        extra += f", or {self.auto!r}" if self.auto else ""
        if self.high < math.inf:
            return (
                f"must be {noun} from {self.low:.10g} to {'below ' if self.below else ''}"
                f"{self.high:.10g}{extra}"
            )
        return f"must be {noun} >= {self.low:.10g}{extra}"

    def accept(self, value: Any) -> Any:
        """Return `value` in its canonical type. Raises `DesignError` if it breaks the rule."""
        if type(value) is not int:
            value = unwrap(value)
        if self.auto is not None and isinstance(value, str) and value == self.auto:
            return self.auto
        if self.kind == "word" and isinstance(value, str) and value in self.words():
            return self.words()[self.words().index(value)]
        if self.kind == "flag" and isinstance(value, bool):
            return value
        if self.kind == "integer":
            if type(value) is int and self.low <= value <= self.high:
                return value
            sides = value if self.pair and is_pair(value) else (value,)
            if all(_is_whole(side) and self.low <= int(side) <= self.high for side in sides):
                return join_sides(int(sides[0]), int(sides[-1]))
        elif self.kind == "real" and isinstance(value, Real):
            number = math.nan if isinstance(value, bool) else _as_float(value)
            inside = number < self.high if self.below else number <= self.high
            if self.low <= number and inside and math.isfinite(number):
                return number + 0.0  # -0.0 becomes 0.0
        raise DesignError(
            f"`{self.name}` {self.rule()}, but got {self.name}={quote(value)}{self._hint(value)}"
        )

    def _hint(self, value: Any) -> str:
        if self.more is None or not isinstance(value, str):
            return ""
        return suggestion(value, self.words()) or f"; {REGISTER_FIRST}"


def is_pair(value: Any) -> bool:
    """Whether a value is two integers, (height, width), which are one value of a field."""
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_whole, value))


def _is_whole(value: Any) -> bool:
    if isinstance(value, Integral):
        return not isinstance(value, bool)
    return isinstance(value, Real) and _as_float(value).is_integer()


def _as_float(value: Real) -> float:
    try:
        return float(value if isinstance(value, int | float) else str(value))
    except OverflowError:  # an integer beyond all floats
        return math.inf


def _declare(kind: Kind, default: Any, short: str | None, **more: Any) -> Any:
    metadata = {"kind": kind, "short": short, **more}
    return dataclasses.field(default=default, metadata=metadata)


def integer(
    default: Any = dataclasses.MISSING,
    *,
    short: str | None = None,
    low: int = 1,
    high: float = 1_000_000,
    auto: str | None = None,
    bare: bool = False,
    pair: bool = False,
) -> Any:
    """Declare an integer field, `low <= value <= high`. It also accepts the word `auto`.

    With `bare`, a required field is written without its name where those before it are. With
    `pair`, it also accepts (height, width), which the notation writes as `3x1`; two equal ones
    are stored as one integer.
    """
    return _declare("integer", default, short, low=low, high=high, auto=auto, bare=bare, pair=pair)


def real(
    default: Any = dataclasses.MISSING,
    *,
    short: str | None = None,
    low: float = 0.0,
    high: float = math.inf,
    below: bool = False,
) -> Any:
    """Declare a field of finite numbers, `low <= value <= high` (`< high` with `below`)."""
    return _declare("real", default, short, low=low, high=high, below=below)


def word(
    default: Any,
    options: tuple[str, ...],
    *,
    short: str | None = None,
    named: bool = False,
    more: Callable[[], tuple[str, ...]] | None = None,
) -> Any:
    """Declare a field that holds one of the words in `options`, or one that `more` returns.

    With `named`, a word is not written without the field's name.
    """
    return _declare("word", default, short, options=options, named=named, more=more)


def flag(default: bool = False, *, short: str | None = None) -> Any:
    """Declare a field that is True or False."""
    return _declare("flag", default, short)


def body(*, bare: bool = False) -> Any:
    """Declare a field that holds a sequence of layers; `bare` is as in `integer`."""
    return _declare("body", dataclasses.MISSING, None, bare=bare)


def _read_specs(cls: type) -> tuple[Spec, ...]:
    declared: list[Spec] = []
    for item in dataclasses.fields(cls):
        meta = {k: v for k, v in item.metadata.items() if v is not None}
        meta.setdefault("short", item.name)
        spec = Spec(name=item.name, default=item.default, **meta)
        _check_notation(spec, declared)
        declared.append(spec)
    return tuple(declared)


# Typed as a plain function: mypy calls a class unhashable if a subclass defines `__hash__`.
specs: Callable[[type], tuple[Spec, ...]] = functools.cache(_read_specs)
"""The fields of a layer kind or recipe, in the order of its constructor."""


def _check_notation(spec: Spec, earlier: list[Spec]) -> None:
    """Raise `DesignError` for a name that the notation could not read back or tell apart."""
    for word_ in (spec.name, spec.short, *spec.options, *([spec.auto] if spec.auto else [])):
        if not WORD.fullmatch(word_):
            raise DesignError(
                f"the names and words of `{spec.name}` must be letters, digits, _ "
                f"and -, starting with a letter, but got {word_!r}"
            )
    taken = {name for other in earlier for name in (other.name, other.short)}
    for name in (spec.name, spec.short):
        if name in taken:
            raise DesignError(
                f"the names of fields, and their short forms, must differ, but got {name!r} twice"
            )


def check_fields(owner: Any, label: str) -> None:
    """Validate every field of a frozen dataclass, and store the canonical values."""
    for spec in specs(type(owner)):
        if spec.kind == "body":
            continue
        value = getattr(owner, spec.name)
        try:
            if isinstance(value, Choice):
                canonical: Any = Choice(tuple(spec.accept(o) for o in value.options), value.name)
            else:
                canonical = spec.accept(value)
        except DesignError as error:
            raise DesignError(f"{label}: {error}") from None
        if canonical is not value:
            object.__setattr__(owner, spec.name, canonical)


def set_fields(owner: Any, **values: Any) -> None:
    """Set fields of a frozen value. Only `settle` calls this, while the value is made."""
    for name, value in values.items():
        object.__setattr__(owner, name, value)


def is_choice(value: Any) -> bool:
    """Whether a choice stands in place of a value."""
    return isinstance(value, Choice)
