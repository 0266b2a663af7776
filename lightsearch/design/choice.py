"""A choice between options. It may stand wherever a value may stand."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from lightsearch.checks import unwrap
from lightsearch.errors import DesignError, quote


@dataclass(frozen=True, slots=True, repr=False)
class Choice:
    """One of several options: plain values in a field, sequences of layers in a sequence.

    A named choice that is used twice is one decision. Unnamed choices are independent.
    `oneof` and `maybe` make choices.
    """

    options: tuple[Any, ...]
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(map(unwrap, self.options)))
        if len(self.options) < 2:
            raise DesignError(
                f"a choice must have at least 2 options, but got {quote(self.options)}"
            )
        if any(isinstance(option, Choice) for option in self.options):
            raise DesignError(
                "a choice of values must not hold another choice: list the values "
                f"of both, but got {quote(self.options)}"
            )
        seen: set[tuple[type, Any]] = set()
        for option in self.options:
            if not isinstance(option, Hashable) or _is_array(option):
                raise DesignError(
                    f"the options of a choice must be plain values or layers, but got "
                    f"{quote(option)}"
                )
            key = (bool if isinstance(option, bool) else type(option), option)
            if key in seen:
                raise DesignError(
                    f"the options of a choice must differ, but got {quote(option)} twice"
                )
            seen.add(key)
        if self.name is not None and not _is_name(self.name):
            raise DesignError(
                "the name of a choice must be letters, digits and _, starting with "
                f"a letter, but got name={quote(self.name)}"
            )

    def __repr__(self) -> str:
        name = f", name={self.name!r}" if self.name else ""
        return f"oneof({', '.join(map(repr, self.options))}{name})"


def _is_array(option: object) -> bool:
    """Whether an option has several values; a tensor is hashable, but by its place in memory."""
    return hasattr(option, "dtype") and bool(getattr(option, "shape", ()))


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name.isascii() and name.isidentifier() and name[0] != "_"
