"""Blocks of layers, and the named choices of one text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from lightsearch.design.parts import Seq
from lightsearch.notation.tokens import Tokens

Scalar: TypeAlias = int | float | str | tuple[int, int]
Scalars: TypeAlias = tuple[tuple[Scalar, int], ...]
"""Values as the text has them, each with its position."""


@dataclass(frozen=True, slots=True)
class Block:
    """A parsed sequence, the number of layers it stands for, and how deep it nests."""

    seq: Seq
    size: int
    height: int


@dataclass(frozen=True, slots=True)
class NamedChoice:
    """The options of a named choice: `scalars` of a choice of values, `block` of one of layers."""

    options: tuple[Any, ...]
    scalars: Scalars | None = None
    block: Block | None = None


class Names:
    """The named choices of a text. Each states its options at its first use."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._choices: dict[str, NamedChoice] = {}

    def read(self) -> str:
        """Take the name that follows `@`."""
        return self._tokens.expect("word", "the name of a choice").text

    def get(self, name: str, start: int) -> NamedChoice:
        """Return the choice called `name`. It must stand earlier in the text."""
        if name not in self._choices:
            self._tokens.fail(
                f"@{name} must have its options where it first stands: "
                f"@{name}:8|16, or [@{name}: a | b]",
                start,
            )
        return self._choices[name]

    def add(self, name: str, choice: NamedChoice, start: int) -> None:
        """Remember a choice. A choice that has this name already must have equal options."""
        if self._choices.setdefault(name, choice).options != choice.options:
            self._tokens.fail(
                f"@{name} must have the same options everywhere, but got others before", start
            )
